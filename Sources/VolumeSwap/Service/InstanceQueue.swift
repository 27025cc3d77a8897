import Basics
import DequeModule
package import Foundation
import Synchronization

/// Runs work one piece at a time per key, in the order of its places; different keys run in parallel, up to a limit.
package final class InstanceQueue: Sendable {
    /// A place in a key's queue, taken before it is known whether there is work for it.
    package struct Ticket: Sendable, Hashable {
        let key: String
        let disk: String?
        let number: UInt64
    }

    /// What a place waits for.
    package enum Wait: String, Sendable {
        /// Other work of its key.
        case instance
        /// The limit on keys that run at once.
        case slot
        /// The whole queue is paused.
        case pause
        /// The schedule pauses the queue.
        case schedule
    }

    /// One piece of work; it should return soon once cancelled.
    package typealias Work = @Sendable () async -> Void

    private struct Place {
        let number: UInt64
        /// Work on a disk waits while other work holds it.
        let disk: String?
        /// When its task was accepted.
        let since: Date
        /// When its task began, if that was before a restart.
        let began: Date?
        /// Its work has begun something already, which no schedule may hold up.
        let isBegun: Bool
        var work: Work?
    }

    private struct State {
        var queues: [String: Deque<Place>] = [:]
        /// Keys with running work: the number of its place, and when it began.
        var busy: [String: (number: UInt64, began: Date)] = [:]
        /// The disks on which work waits without its key's turn, by the number of its place. Under two keys if its domain is known
        /// by another one since.
        var held: [String: [UInt64: String]] = [:]
        /// The other of the two keys.
        var alsoHeld: [UInt64: String] = [:]
        /// Keys whose running work has given up its slot.
        var slotless: Set<String> = []
        /// Keys whose first place has work, in the order in which they became runnable.
        var runnable: Deque<String> = []
        var isRunnable: Set<String> = []
        var slots = 0
        /// Work that has given up its slot and wants one again.
        var returning: Deque<(key: String, waiter: Waiter<Void>)> = []
        var isPaused = false
        var isOffSchedule = false
        var depth = 0
        var next: UInt64 = 0
        /// Work outside the queues, which takes no slot.
        var aside: Deque<Work> = []

        /// Whether nothing may begin; what has begun goes on.
        var isClosed: Bool { isPaused || isOffSchedule }

        /// The index of the key's next place: the first on a disk that is not held, and if wanted the first of those that have begun.
        func next(of key: String, onlyBegun: Bool) -> Int? {
            if held[key] == nil, !onlyBegun { return queues[key].map { _ in 0 } }
            return queues[key]?.firstIndex { place in
                (place.isBegun || !onlyBegun) && (place.disk.map { held[key]?.values.contains($0) != true } ?? true)
            }
        }

        /// The index of the place that may run next.
        func candidate(of key: String) -> Int? { next(of: key, onlyBegun: isClosed) }

        private func isFilled(_ key: String, _ index: Int?) -> Bool { index.map { queues[key]?[$0].work != nil } ?? false }

        /// Ends the hold of a place on its disk; false if it has none.
        mutating func letGo(_ key: String, _ number: UInt64) -> Bool {
            guard held[key]?.removeValue(forKey: number) != nil else { return false }
            if held[key]?.isEmpty == true { held[key] = nil }
            return true
        }

        /// The next key that may run.
        mutating func takeRunnable() -> String? {
            let index = runnable.firstIndex { key in
                !isClosed || isFilled(key, candidate(of: key))
            }
            guard let index else { return nil }
            let key = runnable.remove(at: index)
            isRunnable.remove(key)
            return key
        }

        /// Queues a key to run if nothing of it runs and its next place is filled.
        mutating func consider(_ key: String) {
            // Once nothing is closed any more it may be another than now.
            guard busy[key] == nil, [false, true].contains(where: { isFilled(key, next(of: key, onlyBegun: $0)) }),
                isRunnable.insert(key).inserted
            else { return }
            runnable.append(key)
        }
    }

    private let now: @Sendable () -> Date
    private let currentLimit: Atomic<Int>
    private var limit: Int { currentLimit.load(ordering: .relaxed) }
    private let state = Mutex(State())
    private let signal: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// - Parameters:
    ///   - limit: the maximum number of keys that run at once.
    ///   - now: the wall clock's time.
    package init(limit: Int, now: @escaping @Sendable () -> Date = { Date() }) {
        self.now = now
        currentLimit = Atomic(limit)
        (signal, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Changes the limit; work that already runs beyond a lower one finishes.
    func setLimit(_ limit: Int) {
        currentLimit.store(limit, ordering: .relaxed)
        wake.yield()
    }

    /// Number of places taken, including running ones.
    package var depth: Int { state.withLock { $0.depth } }
    /// Number of keys with running work.
    package var running: Int { state.withLock { $0.busy.count } }
    /// Number of pieces of work that hold their disk without a turn.
    package var holding: Int { state.withLock { $0.held.values.reduce(-$0.alsoHeld.count) { $0 + $1.count } } }

    /// When the task that has waited longest was accepted, and when the one that has run longest began.
    var oldest: (waiting: Date?, running: Date?) {
        state.withLock { state in
            (state.queues.values.compactMap { $0.first?.since }.min(), state.busy.values.map(\.began).min())
        }
    }

    /// What a place waits for; nil once its work runs.
    func wait(of ticket: Ticket) -> Wait? {
        state.withLock { state in
            guard state.busy[ticket.key]?.number != ticket.number, state.held[ticket.key]?[ticket.number] == nil else {
                return nil
            }
            let place = state.queues[ticket.key]?.first { $0.number == ticket.number }
            if state.isPaused, place?.isBegun != true { return .pause }
            if state.isOffSchedule, place?.isBegun != true { return .schedule }
            guard state.busy[ticket.key] == nil, let index = state.candidate(of: ticket.key) else { return .instance }
            return state.queues[ticket.key]?[index].number == ticket.number ? .slot : .instance
        }
    }

    /// Whether a place gets no turn before another request: the queue is paused, or what is held keeps all that waits.
    func isStuck(_ ticket: Ticket) -> Bool {
        state.withLock { state in
            guard let place = state.queues[ticket.key]?.first(where: { $0.number == ticket.number }) else { return false }
            if state.isPaused, !place.isBegun { return true }
            return state.busy[ticket.key] == nil && state.next(of: ticket.key, onlyBegun: false) == nil
        }
    }

    /// The next ticket number, without a place.
    package func nextNumber() -> UInt64 {
        state.withLock { state in
            state.next += 1
            return state.next
        }
    }

    /// Takes the next place in a key's queue.
    ///
    /// - Parameters:
    ///   - disk: what the work is about; nil if it is about the whole key.
    ///   - since: when its task was accepted; nil for now.
    ///   - began: when its task began, if that was before a restart.
    ///   - isBegun: whether the work goes on with something, and so waits neither for the end of a pause nor for the schedule.
    package func reserve(
        _ key: String, disk: String? = nil, since: Date? = nil, began: Date? = nil, isBegun: Bool = false
    ) -> Ticket {
        let since = since ?? now()
        return state.withLock { state in
            state.next += 1
            state.depth += 1
            state.queues[key, default: []].append(
                Place(number: state.next, disk: disk, since: since, began: began, isBegun: isBegun))
            return Ticket(key: key, disk: disk, number: state.next)
        }
    }

    /// Gives a place its work.
    package func fill(_ ticket: Ticket, _ work: @escaping Work) {
        state.withLock { state in
            guard let index = state.queues[ticket.key]?.firstIndex(where: { $0.number == ticket.number }) else { return }
            state.queues[ticket.key]?[index].work = work
            state.consider(ticket.key)
        }
        wake.yield()
    }

    /// Gives up a place.
    ///
    /// - Returns: false if its work has already started.
    @discardableResult
    package func withdraw(_ ticket: Ticket) -> Bool {
        let found = state.withLock { state -> Bool in
            guard let index = state.queues[ticket.key]?.firstIndex(where: { $0.number == ticket.number }) else { return false }
            state.queues[ticket.key]?.remove(at: index)
            state.depth -= 1
            if state.queues[ticket.key]?.isEmpty == true { state.queues[ticket.key] = nil }
            // The next place may not be filled yet.
            if state.isRunnable.remove(ticket.key) != nil { state.runnable.removeAll { $0 == ticket.key } }
            state.consider(ticket.key)
            return true
        }
        wake.yield()
        return found
    }

    /// Frees the slot of work that waits for something that hangs. Its key stays closed.
    package func giveUpSlot(_ ticket: Ticket) {
        state.withLock { state in
            guard state.busy[ticket.key]?.number == ticket.number, state.slotless.insert(ticket.key).inserted else { return }
            state.slots -= 1
        }
        wake.yield()
    }

    /// Gives the key's turn to the next work on another disk, and the slot to any other; the work itself goes on.
    ///
    /// - Parameter key: the domain's key now; nil if it is the ticket's. Work on the disk waits under both.
    func giveUpTurn(_ ticket: Ticket, holding disk: String, of key: String? = nil) {
        state.withLock { state in
            guard state.busy[ticket.key]?.number == ticket.number else { return }
            if state.slotless.remove(ticket.key) == nil { state.slots -= 1 }
            state.busy[ticket.key] = nil
            state.held[ticket.key, default: [:]][ticket.number] = disk
            if let key, key != ticket.key {
                state.held[key, default: [:]][ticket.number] = disk
                state.alsoHeld[ticket.number] = key
            }
            state.consider(ticket.key)
        }
        wake.yield()
    }

    /// Runs work that held its disk before a restart, at once and without a turn.
    func resumeHeld(_ ticket: Ticket, disk: String, _ work: @escaping Work) {
        state.withLock { state in
            state.queues[ticket.key]?.removeAll { $0.number == ticket.number }
            if state.queues[ticket.key]?.isEmpty == true { state.queues[ticket.key] = nil }
            state.held[ticket.key, default: [:]][ticket.number] = disk
            state.aside.append { [self] in
                await work()
                finished(ticket.key, ticket.number)
            }
            state.consider(ticket.key)
        }
        wake.yield()
    }

    /// Takes a slot again for work that has given its own up, before any new work; waits until there is one, or for cancellation. None
    /// is given while the queue is paused, or the schedule pauses it.
    func takeSlot(_ ticket: Ticket) async {
        let waiter = state.withLock { state -> Waiter<Void>? in
            guard state.busy[ticket.key]?.number == ticket.number, state.slotless.contains(ticket.key) else { return nil }
            let waiter = Waiter<Void>()
            state.returning.append((ticket.key, waiter))
            return waiter
        }
        wake.yield()
        await waiter?.value(ifCancelled: ())
    }

    /// Number of pieces of work that want a slot again.
    var returning: Int { state.withLock { $0.returning.count { !$0.waiter.isResumed } } }

    /// Whether new work waits, however many slots are free. Running work goes on.
    var isPaused: Bool {
        get { state.withLock { $0.isPaused } }
        set {
            state.withLock { $0.isPaused = newValue }
            wake.yield()
        }
    }

    /// Whether the schedule has new work wait. Running work goes on.
    var isOffSchedule: Bool {
        get { state.withLock { $0.isOffSchedule } }
        set {
            state.withLock { $0.isOffSchedule = newValue }
            wake.yield()
        }
    }

    /// Runs work at once, outside the queues and the limit, such as the delivery of an outcome.
    package func runAside(_ work: @escaping Work) {
        state.withLock { $0.aside.append(work) }
        wake.yield()
    }

    /// Like ``runAside(_:)``, once the calling work has returned: without another task.
    func runNext(_ work: @escaping Work) { state.withLock { $0.aside.append(work) } }

    /// Runs until cancelled, and then until running work has returned.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for await _ in signal {
                while let work = next() {
                    group.addTask { [self] in
                        await work()
                        // Reuse this task for whatever waits for the slot.
                        while !Task.isCancelled, let more = next() { await more() }
                    }
                }
            }
            group.cancelAll()
        }
    }

    private func next() -> Work? {
        state.withLock { state in
            if let aside = state.aside.popFirst() { return aside }
            while !state.isClosed, state.slots < limit, let first = state.returning.popFirst() {
                guard first.waiter.resume() else { continue }
                state.slotless.remove(first.key)
                state.slots += 1
            }
            while state.slots < limit, let key = state.takeRunnable() {
                // Its next place may be another by now, which is not filled yet: that will consider the key again.
                guard let index = state.candidate(of: key), let place = state.queues[key]?[index], let work = place.work else {
                    continue
                }
                state.queues[key]?.remove(at: index)
                if state.queues[key]?.isEmpty == true { state.queues[key] = nil }
                state.slots += 1
                state.busy[key] = (place.number, place.began ?? now())
                return { [self] in
                    await work()
                    finished(key, place.number)
                }
            }
            return nil
        }
    }

    private func finished(_ key: String, _ number: UInt64) {
        let isMore = state.withLock { state in
            state.depth -= 1
            if state.letGo(key, number) {
                if let other = state.alsoHeld.removeValue(forKey: number), state.letGo(other, number) { state.consider(other) }
            } else {
                if state.slotless.remove(key) == nil { state.slots -= 1 }
                state.busy[key] = nil
            }
            state.consider(key)
            // The task takes the next itself.
            return state.aside.count + state.runnable.count + state.returning.count > 1
        }
        if isMore { wake.yield() }
    }
}
