import AMQP
import Basics
import DequeModule
import Synchronization

/// Requests waiting for their turn, in order of arrival; for one reader.
///
/// Bounded by what the transport delivers unsettled. Most requests are kept undecoded and decoded again later: a decoded body
/// takes up to 90 times its size.
final class Backlog: Sendable {
    struct Entry: Sendable {
        /// Its position in order of arrival.
        fileprivate(set) var number: UInt64 = 0
        let message: InboundMessage
        /// Nil if the message must be decoded again, because many wait or it cannot be decoded.
        fileprivate(set) var request: RPCRequest?
        /// Bytes of the body once it is decompressed: what working on it costs.
        let bytes: Int
        let heartbeats: HeartbeatToken?

        init(message: InboundMessage, request: RPCRequest?, bytes: Int, heartbeats: HeartbeatToken?) {
            self.message = message
            self.request = request
            self.bytes = bytes
            self.heartbeats = heartbeats
        }
    }

    private struct State {
        var entries: Deque<Entry> = []
        var lastNumber: UInt64 = 0
        /// Bytes of the bodies whose request is kept decoded.
        var readBytes = 0
        var isPaused = false
        var isClosed = false
        var reader: Waiter<Entry?>?

        mutating func numbered(_ entry: Entry) -> Entry {
            lastNumber += 1
            var entry = entry
            entry.number = lastNumber
            return entry
        }

        mutating func insert(_ entry: Entry) {
            var entry = entry
            if entry.request != nil {
                let size = entry.bytes
                if readBytes + size <= Backlog.readLimit { readBytes += size } else { entry.request = nil }
            }
            guard let last = entries.last, last.number > entry.number else { return entries.append(entry) }
            entries.insert(entry, at: entries.firstIndex { $0.number > entry.number } ?? entries.endIndex)
        }

        mutating func popFirst() -> Entry? {
            guard !isPaused, !isClosed, let entry = entries.popFirst() else { return nil }
            if entry.request != nil { readBytes -= entry.bytes }
            return entry
        }

        mutating func serveReader() {
            guard let reader else { return }
            let entry = popFirst()
            guard entry != nil || isClosed else { return }
            self.reader = nil
            reader.resume(entry)
        }
    }

    /// Maximum bytes of bodies whose request is kept decoded.
    private static let readLimit = 256 << 10

    private let state = Mutex(State())

    /// Numbers a request that need not wait; nil if others are ahead of it.
    func pass(_ entry: Entry) -> Entry? {
        state.withLock { state in
            guard state.reader != nil, state.entries.isEmpty, !state.isPaused, !state.isClosed else { return nil }
            return state.numbered(entry)
        }
    }

    /// Bytes of the next request's body once it is decompressed; 0 if there is none.
    var nextBytes: Int { state.withLock { $0.entries.first?.bytes ?? 0 } }

    /// Whether waiting requests may be processed.
    var isOpen: Bool { state.withLock { !$0.isPaused && !$0.isClosed } }

    /// Appends a request; false if the backlog is closed.
    func append(_ entry: Entry) -> Bool {
        change { state in
            guard !state.isClosed else { return false }
            state.insert(state.numbered(entry))
            return true
        }
    }

    /// Returns a taken request to its position; false if the backlog is closed.
    func putBack(_ entry: Entry) -> Bool {
        change { state in
            guard !state.isClosed else { return false }
            state.insert(entry)
            return true
        }
    }

    /// Waits for the next request, and until the backlog is resumed. Nil once it is closed.
    func next() async -> Entry? {
        let waiter = Waiter<Entry?>()
        change { $0.reader = waiter }
        return await waiter.value()
    }

    func pause() { change { $0.isPaused = true } }
    func resume() { change { $0.isPaused = false } }

    /// Removes and returns all waiting requests, except those delivered in this epoch if one is given.
    func takeAll(except epoch: UInt64? = nil) -> [Entry] {
        change { state in
            let isTaken = { (entry: Entry) in epoch == nil || entry.message.tag.epoch != epoch }
            let taken = state.entries.filter(isTaken)
            state.entries.removeAll(where: isTaken)
            state.readBytes = state.entries.reduce(0) { $0 + ($1.request == nil ? 0 : $1.bytes) }
            return Array(taken)
        }
    }

    /// Accepts no more and ends the reader; waiting requests remain for ``takeAll(except:)``.
    func close() { change { $0.isClosed = true } }

    private func change<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        state.withLock { state in
            defer { state.serveReader() }
            return body(&state)
        }
    }
}
