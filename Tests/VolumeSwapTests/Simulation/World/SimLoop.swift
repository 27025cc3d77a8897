import Foundation
import SeededRandom

/// The single thread, the virtual clock and the random choices of a simulation.
///
/// Every job of the code under test goes through ``enqueue(_:)`` and is run by ``step()``, which picks among the runnable ones
/// with the seeded generator: that shuffles how the tasks interleave. If none is runnable, time jumps to the next timer. Nothing
/// else moves, so a seed determines the run.
final class SimLoop: TaskExecutor, @unchecked Sendable {
    /// Microseconds of virtual time.
    typealias Time = Int64

    struct Timer: Hashable {
        let number: Int
    }

    private(set) var now: Time = 0
    /// A hash of everything that happens: equal for equal runs.
    private(set) var digest: UInt64 = 0
    private(set) var steps = 0
    private var random: SplitMix64
    /// In how many of 16 choices the oldest job is picked.
    private let fairness: Int
    private var jobs: [UnownedJob] = []
    private var heap: [(at: Time, number: Int)] = []
    private var actions: [Int: () -> Void] = [:]
    private var timers = 0
    private let thread = pthread_self()

    init(seed: UInt64) {
        random = SplitMix64(seed: seed)
        fairness = [16, 8, 0][Int(random.next() % 3)]
    }

    func enqueue(_ job: consuming ExecutorJob) {
        precondition(
            pthread_equal(thread, pthread_self()) != 0,
            "a task of the core runs outside of the simulation: an unstructured task, or a clock that is not the environment's")
        jobs.append(UnownedJob(job))
    }

    // MARK: Time

    @discardableResult
    func after(_ delay: Time, _ action: @escaping () -> Void) -> Timer {
        timers += 1
        actions[timers] = action
        push((now + max(0, delay), timers))
        return Timer(number: timers)
    }

    func cancel(_ timer: Timer?) {
        if let timer { actions[timer.number] = nil }
    }

    /// Runs one job or the next timer; false if nothing is left to happen until `end`.
    func step(until end: Time) -> Bool {
        steps += 1
        if !jobs.isEmpty {
            let index = jobs.count == 1 || chance(fairness, of: 16) ? 0 : Int(below(UInt64(jobs.count)))
            let job = jobs.remove(at: index)
            digest = (digest ^ UInt64(truncatingIfNeeded: index + jobs.count)) &* 0x100_0000_01b3
            job.runSynchronously(on: asUnownedTaskExecutor())
            return true
        }
        while let next = heap.first, next.at <= end {
            pop()
            guard let action = actions.removeValue(forKey: next.number) else { continue }
            now = next.at
            digest = (digest ^ UInt64(truncatingIfNeeded: now)) &* 0x100_0000_01b3
            action()
            return true
        }
        now = max(now, end)
        return false
    }

    func run(until end: Time) { while step(until: end) {} }

    /// Drops pending events, so that nothing keeps the world alive.
    func clear() { actions = [:] }

    private func push(_ entry: (at: Time, number: Int)) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard isBefore(heap[child], heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private func pop() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var parent = 0
        while true {
            var child = parent * 2 + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, isBefore(heap[child + 1], heap[child]) { child += 1 }
            guard isBefore(heap[child], heap[parent]) else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }

    private func isBefore(_ one: (at: Time, number: Int), _ other: (at: Time, number: Int)) -> Bool {
        one.at == other.at ? one.number < other.number : one.at < other.at
    }

    // MARK: Chance

    func below(_ limit: UInt64) -> UInt64 { random.next() % limit }
    func pick(_ range: ClosedRange<Int64>) -> Int64 {
        range.lowerBound + Int64(below(UInt64(range.upperBound - range.lowerBound) + 1))
    }
    func pick<Element>(_ elements: [Element]) -> Element { elements[Int(below(UInt64(elements.count)))] }
    func chance(_ share: Int, of whole: Int = 100) -> Bool { below(UInt64(whole)) < UInt64(max(0, share)) }
}

extension SimLoop.Time {
    static let millisecond: Int64 = 1000
    static let second: Int64 = 1_000_000
    static let minute: Int64 = 60_000_000
    static let hour: Int64 = 3_600_000_000
}
