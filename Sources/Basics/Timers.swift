internal import Dispatch
internal import HeapModule
internal import Synchronization

/// Runs actions at their time, all with one timer of the system: most are cancelled, and neither that nor scheduling takes a system
/// call or another thread.
package final class Timers: Sendable {
    /// One for the process.
    package static let shared = Timers()

    private struct State {
        var entries = Heap<Entry>()
        var sweepCount = 64
        /// When the system's timer fires; nil if it does not.
        var firesAt: ContinuousClock.Instant?
        let timer: any DispatchSourceTimer

        mutating func arm(for entry: Entry, _ now: ContinuousClock.Instant) {
            firesAt = entry.due
            timer.schedule(deadline: .now() + max(0, (entry.due - now) / .seconds(1)))
        }
    }

    private let state: Mutex<State>

    package init() {
        let queue = DispatchQueue(label: "pivotd.timers")
        state = Mutex(State(timer: DispatchSource.makeTimerSource(queue: queue)))
        state.withLock { state in
            state.timer.setEventHandler { [weak self] in self?.fire() }
            state.timer.activate()
        }
    }

    /// Number of actions that are kept, with cancelled ones that have not been swept.
    var count: Int { state.withLock { $0.entries.count } }

    /// Runs an action, which must not block, after a duration, unless it is cancelled before.
    package func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> Entry {
        let now = ContinuousClock.now
        let entry = Entry(due: now + duration, action)
        state.withLock { state in
            if state.entries.count >= state.sweepCount {
                state.entries.removeAll(where: \.isOver)
                state.sweepCount = max(64, 2 * state.entries.count)
            }
            state.entries.insert(entry)
            if state.firesAt.map({ entry.due < $0 }) ?? true { state.arm(for: entry, now) }
        }
        return entry
    }

    /// Suspends the task. Unlike with `Task.sleep`, nothing stays behind until then if it is cancelled.
    ///
    /// - Throws: `CancellationError` if the task is cancelled.
    package func sleep(for duration: Duration) async throws(CancellationError) {
        let waiter = Waiter<Bool>()
        let entry = schedule(after: duration) { waiter.resume(true) }
        defer { entry.cancel() }
        if await !waiter.value(ifCancelled: false) { throw CancellationError() }
    }

    private func fire() {
        let due = state.withLock { state in
            let now = ContinuousClock.now
            var due: [Entry] = []
            while let first = state.entries.min, first.due <= now || first.isOver {
                state.entries.removeMin()
                if !first.isOver { due.append(first) }
            }
            state.firesAt = nil
            if let next = state.entries.min { state.arm(for: next, now) }
            return due
        }
        if !due.isEmpty { Task { for entry in due { entry.run() } } }
    }

    /// An action and its time.
    package final class Entry: Sendable, Comparable {
        fileprivate let due: ContinuousClock.Instant
        private let action: Mutex<(@Sendable () -> Void)?>

        fileprivate init(due: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) {
            self.due = due
            self.action = Mutex(action)
        }

        /// Whether the action was cancelled or run.
        fileprivate var isOver: Bool { action.withLock { $0 == nil } }

        /// Prevents the action, if it has not run yet, and frees what it holds.
        package func cancel() { action.withLock { $0 = nil } }

        fileprivate func run() {
            let action = action.withLock { action in
                defer { action = nil }
                return action
            }
            action?()
        }

        package static func < (one: Entry, other: Entry) -> Bool { one.due < other.due }
        package static func == (one: Entry, other: Entry) -> Bool { one === other }
    }
}
