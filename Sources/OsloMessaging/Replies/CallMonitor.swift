import Basics
import HeapModule
import Synchronization

/// Sends heartbeats for calls that outlast their caller's timeout; one timer for all of them.
///
/// Mirrors the watchdog in `oslo_messaging/rpc/dispatcher.py`, except that a failed heartbeat does not end it.
final class CallMonitor: Sendable {
    /// The outcome of a heartbeat.
    enum Beat: Sendable {
        case delivered
        /// The caller's queue does not exist, or may not be published to.
        case returned
        /// The broker was unreachable.
        case unsent
    }

    /// Consecutive heartbeats without a queue after which the caller is assumed to have given up.
    fileprivate static let maxReturns = 3

    private let beat: @Sendable (ReplyAddress) async -> Beat
    private let state = Mutex(State())
    private let wakeups = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

    /// - Parameter beat: Sends one heartbeat.
    init(beat: @escaping @Sendable (ReplyAddress) async -> Beat) {
        self.beat = beat
    }

    /// Sends heartbeats until cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await _ in wakeups.stream {
                let (due, nextDeadline) = state.withLock { $0.collectDue(at: .now) }
                for call in due {
                    group.addTask { await self.send(call) }
                }
                guard let nextDeadline else { continue }
                group.addTask {
                    try? await Task.sleep(until: nextDeadline, clock: .continuous)
                    self.wakeups.continuation.yield()
                }
            }
        }
    }

    /// Starts heartbeats; nil if the caller wants none.
    func start(_ address: ReplyAddress) -> HeartbeatToken? {
        guard let interval = address.heartbeatInterval else { return nil }
        let (id, isEarliest) = state.withLock { $0.add(address, every: interval, at: .now) }
        if isEarliest { wakeups.continuation.yield() }
        return HeartbeatToken(id: id)
    }

    /// No heartbeat of this token is sent after this returns.
    func stop(_ token: HeartbeatToken) async {
        await stop(id: token.id)
    }

    /// No heartbeat of any token for this call is sent after this returns.
    func stopAll(for address: ReplyAddress) async {
        for id in state.withLock({ $0.ids[CallKey(address)] ?? [] }) { await stop(id: id) }
    }

    private func stop(id: UInt64) async {
        await state.withLock { $0.stop(id) }?.value()
    }

    private func send(_ id: UInt64) async {
        guard let address = state.withLock({ $0.calls[id]?.address }) else { return }
        let beat = await beat(address)
        state.withLock { $0.sent(id, beat) }
    }
}

/// Identifies a call that is kept alive with heartbeats.
package struct HeartbeatToken: Sendable, Hashable {
    let id: UInt64
}

private struct CallKey: Hashable {
    let messageID: String
    let replyQueue: String

    init(_ address: ReplyAddress) {
        messageID = address.messageID
        replyQueue = address.replyQueue
    }
}

private struct State {
    struct Call {
        let address: ReplyAddress
        let interval: Duration
        var isSending = false
        var isStopped = false
        /// Consecutive heartbeats that found no queue.
        var returns = 0
        /// Callers waiting for the heartbeat in progress.
        var waiters = Waiters<Void>()
    }

    struct Deadline: Comparable {
        let instant: ContinuousClock.Instant
        let id: UInt64

        static func < (left: Deadline, right: Deadline) -> Bool { left.instant < right.instant }
    }

    private(set) var calls: [UInt64: Call] = [:]
    private(set) var ids: [CallKey: [UInt64]] = [:]
    /// May hold calls that have stopped.
    private var deadlines = Heap<Deadline>()
    private var lastID: UInt64 = 0
    /// When the earliest sleeper wakes the timer.
    private var armed: ContinuousClock.Instant?

    /// Returns the call's id and whether the timer must be woken to notice it.
    mutating func add(_ address: ReplyAddress, every interval: Duration, at now: ContinuousClock.Instant) -> (UInt64, Bool) {
        lastID += 1
        let deadline = now + interval
        calls[lastID] = Call(address: address, interval: interval)
        ids[CallKey(address), default: []].append(lastID)
        deadlines.insert(Deadline(instant: deadline, id: lastID))
        return (lastID, armed.map { deadline < $0 } ?? true)
    }

    /// The calls due for a heartbeat, and when to check again unless the timer is armed for an earlier moment.
    mutating func collectDue(at now: ContinuousClock.Instant) -> (due: [UInt64], next: ContinuousClock.Instant?) {
        var due: [UInt64] = []
        while let first = deadlines.min, first.instant <= now {
            deadlines.removeMin()
            guard let call = calls[first.id], !call.isStopped else { continue }
            // One heartbeat per call at a time, so that they do not pile up while the broker is unreachable.
            if !call.isSending {
                calls[first.id]?.isSending = true
                due.append(first.id)
            }
            deadlines.insert(Deadline(instant: now + call.interval, id: first.id))
        }
        if let armed, armed <= now { self.armed = nil }
        guard let next = deadlines.min?.instant, armed.map({ next < $0 }) ?? true else { return (due, nil) }
        armed = next
        return (due, next)
    }

    /// Stops a call, now or once the heartbeat in progress has been sent.
    ///
    /// - Returns: What to wait for in the latter case.
    mutating func stop(_ id: UInt64) -> Waiter<Void>? {
        guard calls[id]?.isSending == true else {
            remove(id)
            return nil
        }
        calls[id]?.isStopped = true
        return calls[id]?.waiters.add()
    }

    /// Records that a heartbeat has been sent, and resumes those waiting for it.
    mutating func sent(_ id: UInt64, _ beat: CallMonitor.Beat) {
        calls[id]?.isSending = false
        switch beat {
        case .delivered: calls[id]?.returns = 0
        case .returned: calls[id]?.returns += 1
        case .unsent: break
        }
        guard let call = calls[id], call.isStopped || call.returns >= CallMonitor.maxReturns else { return }
        calls[id]?.waiters.resumeAll(())
        remove(id)
    }

    private mutating func remove(_ id: UInt64) {
        guard let call = calls.removeValue(forKey: id) else { return }
        let key = CallKey(call.address)
        ids[key]?.removeAll { $0 == id }
        if ids[key]?.isEmpty == true { ids[key] = nil }
        if deadlines.count > 2 * calls.count + 64 {
            let live = deadlines.unordered.filter { calls[$0.id] != nil }
            deadlines = Heap(live)
        }
    }
}
