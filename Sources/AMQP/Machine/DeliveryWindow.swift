/// Decides how many messages the broker may deliver ahead, so that unsettled ones stay within a number of bytes. Pure.
///
/// RabbitMQ does not implement prefetch by size (basic.qos's prefetch_size). The window starts narrow, so that even messages of
/// the maximum size stay within the bound, and widens once messages turn out to be small. A wide window that fills up with large
/// messages is shut, and reopened narrow when half of the bound is free. One that may not shut becomes narrow instead, and exceeds the
/// bound by what is on its way then.
struct DeliveryWindow: Equatable {
    enum Width: Equatable {
        case narrow
        /// Of so many deliveries for each consumer.
        case wide(UInt16)
        /// No consumer runs.
        case shut
    }

    /// Bound for unsettled bodies.
    private let bytes: Int
    private let consumers: Int
    private let narrow: UInt16
    private let wide: UInt16
    let mayShut: Bool
    private(set) var width = Width.narrow

    /// - Parameters:
    ///   - bytes: Bound for unsettled bodies.
    ///   - bodyLimit: Bytes of the largest possible body.
    ///   - wide: A consumer's prefetch while messages are small.
    ///   - mayShut: Whether there may be no consumer for a while: some queues are deleted with the last one.
    init(bytes: Int, bodyLimit: Int, wide: UInt16, consumers: Int, mayShut: Bool = true) {
        self.bytes = bytes
        self.mayShut = mayShut
        self.consumers = max(1, consumers)
        narrow = min(max(1, wide), UInt16(clamping: max(1, bytes / max(1, bodyLimit) / max(1, consumers))))
        self.wide = mayShut ? max(1, wide) : min(max(1, wide), UInt16(clamping: Int(narrow) * Self.excess))
    }

    /// How many times the bound one may exceed that does not shut.
    private static let excess = 16

    /// Maximum unsettled deliveries per consumer.
    var prefetch: UInt16 { if case .wide(let prefetch) = width { prefetch } else { narrow } }

    /// Whether one more delivery would be too much.
    func isFull(_ held: SettlementLedger.Held) -> Bool { held.bytes > bytes }

    /// The width to change to; nil if the current one is right.
    func better(_ held: SettlementLedger.Held) -> Width? {
        switch width {
        case .narrow: held.count >= Int(narrow) && held.bytes <= bytes / 8 ? widened(held) : nil
        case .wide where isFull(held): mayShut ? .shut : .narrow
        // Once the first ones, which it went by, are settled.
        case .wide(let prefetch):
            !mayShut && held.count >= Int(prefetch) && held.bytes <= bytes / 8 ? widened(held, from: prefetch) : nil
        case .shut: held.bytes <= bytes / 2 ? .narrow : nil
        }
    }

    /// As wide as holds messages twice as large as those held: what does not fit is requeued, and a queue may limit how often.
    private func widened(_ held: SettlementLedger.Held, from present: UInt16? = nil) -> Width? {
        let average = max(1, held.bytes / max(1, held.count))
        let prefetch = min(wide, UInt16(clamping: bytes / 2 / average / consumers))
        return prefetch > present ?? narrow ? .wide(prefetch) : nil
    }

    mutating func turn(to width: Width) { self.width = width }
}
