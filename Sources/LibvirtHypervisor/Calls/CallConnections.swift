import Basics
import Libvirt
import Logging
import Synchronization
import VolumeSwap

/// Connections for calls that may hang, separate from the one for look-ups and events.
///
/// Each has one call at a time. The thread whose call is out reads the answers for all threads of its connection, and libvirt's client
/// (seen with 9.0) can lose the wake-up by which another one asks it to send: then a call waits for as long as that one hangs.
/// libvirtd has 20 workers for all clients (`max_workers`), so the connections are few: even if every call here hangs, some workers
/// remain for others.
final class CallConnections: Sendable {
    /// The right to make one call on a connection.
    struct Lease: Sendable {
        let connection: LibvirtConnection
        fileprivate let slot: UInt64
    }

    private struct Slot {
        var number: UInt64
        /// nil while it is being opened.
        var connection: LibvirtConnection?
        var calls = 0
    }

    private struct State {
        var slots: [Slot] = []
        var waiters: [CallAnswer<Lease>] = []
        var next: UInt64 = 0

        mutating func number() -> UInt64 {
            next += 1
            return next
        }
    }

    /// How much may be outstanding at once.
    struct Capacity {
        /// How many connections, each with one call.
        let connections: Int
        /// Maximum concurrent calls to an embedded driver, which has no limit itself but blocks threads of this process.
        let unservedCalls: Int

        static let calls = Capacity(connections: 12, unservedCalls: 20)
        static let configurations = Capacity(connections: 6, unservedCalls: 6)
    }

    private let uri: String
    private let capacity: Capacity
    private let logger: Logger
    private let clock: any SwapClock
    private let state = Mutex(State())
    /// False for an embedded driver, whose directory allows one connection only and which has no call limit.
    private let isServed: Bool

    init(uri: String, capacity: Capacity, clock: any SwapClock, logger: Logger) {
        self.uri = uri
        self.capacity = capacity
        self.clock = clock
        self.logger = logger
        isServed = LibvirtConnection.isServed(uri)
    }

    /// Takes a lease, opening a connection if the existing ones are full; waits for `patience` if all are.
    ///
    /// - Parameter primary: The connection for look-ups.
    /// - Throws: `busy` if all calls are outstanding, `connectionLost` if libvirt cannot be reached.
    func lease(_ primary: LibvirtConnection, patience: Duration) async throws(HypervisorError) -> Lease {
        while true {
            switch state.withLock({ take(&$0, primary) }) {
            case .lease(let lease): return lease
            case .open(let number): try await open(number)
            case .full(let answer):
                defer { state.withLock { $0.waiters.removeAll { $0 === answer } } }
                return try await answer.wait(
                    atMost: patience, clock, else: "no further calls to libvirt: \(most) calls are outstanding and do not return",
                    ifCancelled: "the call was given up")
            }
        }
    }

    /// How many callers wait for a lease.
    var waiters: Int { state.withLock { $0.waiters.count } }

    func release(_ lease: Lease) {
        let next = state.withLock { state in
            guard let index = state.slots.firstIndex(where: { $0.number == lease.slot }) else { return Grant?.none }
            state.slots[index].calls -= 1
            return grant(&state)
        }
        hand(next)
    }

    /// Closes all connections: libvirt is gone, or pivotd is stopping. Whoever waits for a lease gets `connectionLost`.
    func closeAll() async {
        let (ended, waiters) = state.withLock { state in
            defer { (state.slots, state.waiters) = ([], []) }
            return (isServed ? state.slots.compactMap(\.connection) : [], state.waiters)
        }
        for waiter in waiters { waiter.resume(.failure(HypervisorError(.connectionLost, "the connection to libvirt was lost"))) }
        for connection in ended { await connection.close() }
    }

    private typealias Grant = (waiter: CallAnswer<Lease>, lease: Lease)

    private enum Place {
        case lease(Lease)
        case open(UInt64)
        case full(CallAnswer<Lease>)
    }

    private var most: Int { isServed ? capacity.connections : capacity.unservedCalls }

    private func take(_ state: inout State, _ primary: LibvirtConnection) -> Place {
        if !isServed, state.slots.first?.connection !== primary {
            state.slots = [Slot(number: state.number(), connection: primary)]
        }
        state.slots.removeAll { $0.connection.map { $0.closeReason != nil } ?? false }
        if let lease = free(&state) { return .lease(lease) }
        guard isServed, state.slots.count < capacity.connections, !state.slots.contains(where: { $0.connection == nil }) else {
            let answer = CallAnswer<Lease>()
            state.waiters.append(answer)
            return .full(answer)
        }
        let slot = Slot(number: state.number())
        state.slots.append(slot)
        return .open(slot.number)
    }

    private func free(_ state: inout State) -> Lease? {
        let limit = isServed ? 1 : capacity.unservedCalls
        for index in state.slots.indices where state.slots[index].calls < limit {
            guard let connection = state.slots[index].connection else { continue }
            state.slots[index].calls += 1
            return Lease(connection: connection, slot: state.slots[index].number)
        }
        return nil
    }

    private func grant(_ state: inout State) -> Grant? {
        guard !state.waiters.isEmpty, let lease = free(&state) else { return nil }
        return (state.waiters.removeFirst(), lease)
    }

    private func hand(_ grant: Grant?) {
        // A waiter that has given up passes it on to the next.
        if let grant, !grant.waiter.resume(.success(grant.lease)) { release(grant.lease) }
    }

    private func open(_ number: UInt64) async throws(HypervisorError) {
        do {
            let connection = try await LibvirtConnection.open(uri: uri, events: false, logger: logger)
            let isWanted = state.withLock { state in
                guard let index = state.slots.firstIndex(where: { $0.number == number }) else { return false }
                state.slots[index].connection = connection
                return true
            }
            guard isWanted else { return await connection.close() }
            hand(state.withLock { grant(&$0) })
        } catch {
            state.withLock { $0.slots.removeAll { $0.number == number } }
            throw HypervisorError(error)
        }
    }
}
