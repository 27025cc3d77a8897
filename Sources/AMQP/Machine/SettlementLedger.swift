/// Tracks which deliveries of the current epoch are still unsettled.
///
/// It turns a stale or repeated acknowledgement into a no-op (the broker would close the channel for it), and merges
/// acknowledgements into one basic.ack with `multiple` if nothing unsettled lies below them.
struct SettlementLedger {
    /// The life of the consuming channel that tags belong to; 0 while there is none.
    private(set) var epoch: UInt64 = 0
    /// The unsettled deliveries.
    struct Held: Equatable {
        var count = 0
        /// Total size of their bodies.
        var bytes = 0
    }

    /// A consumer of a stream, as ``ConnectionMachine/ActiveConsumer`` names it.
    struct StreamConsumer: Hashable {
        let unit: Int
        let index: Int
    }

    /// A stream's message.
    struct StreamPosition {
        let consumer: StreamConsumer
        /// Nil if the message does not state it readably.
        let offset: Int64?
    }

    private struct Delivery {
        let bytes: Int
        let position: StreamPosition?
        /// Whether a settlement is waiting to be written.
        var isClaimed = false
    }

    private var unsettled: [UInt64: Delivery] = [:]
    private var bytes = 0
    /// Where the consumers of streams go on: behind the last delivery, and in a new epoch at the first that was not settled.
    private(set) var nextOffsets: [StreamConsumer: Int64] = [:]
    /// The consumers of streams that are delivered one message at a time, since one could not be read.
    private(set) var careful: Set<StreamConsumer> = []

    var held: Held { Held(count: unsettled.count, bytes: bytes) }

    mutating func begin(epoch: UInt64) {
        self.epoch = epoch
        for position in unsettled.values.compactMap(\.position) { postpone(position) }
        unsettled.removeAll(keepingCapacity: true)
        bytes = 0
    }

    mutating func add(_ value: UInt64, bytes: Int = 0, at position: StreamPosition? = nil) {
        unsettled[value] = Delivery(bytes: bytes, position: position)
        self.bytes += bytes
        if let position { pass(position) }
    }

    /// A stream's message need not be delivered again.
    mutating func pass(_ position: StreamPosition) {
        if let offset = position.offset { nextOffsets[position.consumer] = offset + 1 }
    }

    /// A stream's message is to be delivered again once its consumer is started anew.
    mutating func postpone(_ position: StreamPosition) {
        guard let offset = position.offset else { return }
        nextOffsets[position.consumer] = min(nextOffsets[position.consumer] ?? .max, offset)
    }

    /// A stream's consumer was delivered what cannot be read, not even its offset. The first time others may be on their way
    /// before it, so they are delivered one by one from then on; the next time it is the one that was due.
    mutating func passUnreadable(of consumer: StreamConsumer) {
        guard !careful.insert(consumer).inserted, let offset = nextOffsets[consumer] else { return }
        nextOffsets[consumer] = offset + 1
    }

    /// The broker has cancelled a unit's consumers: its stream may have been deleted, and begin anew.
    mutating func forgetOffsets(of unit: Int) {
        nextOffsets = nextOffsets.filter { $0.key.unit != unit }
        careful = careful.filter { $0.unit != unit }
    }

    /// Whether a delivery can still be settled; otherwise the broker redelivers it or already has its settlement.
    func awaits(_ tag: DeliveryTag) -> Bool { tag.epoch == epoch && unsettled[tag.value]?.isClaimed == false }

    /// Claims the right to settle; false if the tag is unknown, of another epoch, or already claimed.
    mutating func claim(_ tag: DeliveryTag) -> Bool {
        guard awaits(tag) else { return false }
        unsettled[tag.value]?.isClaimed = true
        return true
    }

    /// Marks a single claimed tag as written; false if its epoch has ended meanwhile.
    mutating func write(_ tag: DeliveryTag) -> Bool {
        guard tag.epoch == epoch, let delivery = unsettled.removeValue(forKey: tag.value) else { return false }
        bytes -= delivery.bytes
        return true
    }

    /// Marks a single claimed tag as rejected.
    ///
    /// - Returns: Whether it came from a stream; nil if its epoch has ended meanwhile.
    mutating func write(rejected tag: DeliveryTag, requeue: Bool) -> Bool? {
        let position = unsettled[tag.value]?.position
        guard write(tag) else { return nil }
        if requeue, let position { postpone(position) }
        return position != nil
    }

    struct Acknowledgement: Equatable {
        let value: UInt64
        let multiple: Bool
    }

    /// Marks claimed tags as written and returns the fewest basic.acks that settle exactly those.
    mutating func write(acknowledged tags: [DeliveryTag]) -> [Acknowledgement] {
        let values = tags.filter { write($0) }.map(\.value)
        guard values.count > 1 else { return values.map { Acknowledgement(value: $0, multiple: false) } }
        let floor = unsettled.keys.min() ?? .max
        let below = values.filter { $0 < floor }
        let merged = below.max().map { [Acknowledgement(value: $0, multiple: below.count > 1)] } ?? []
        return merged + values.filter { $0 > floor }.map { Acknowledgement(value: $0, multiple: false) }
    }
}
