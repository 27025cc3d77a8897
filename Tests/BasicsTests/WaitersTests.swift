import Basics
import Foundation
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(10))) struct WaitersTests {
    @Test func theFirstValueCounts() async {
        let waiter = Waiter<Int>()
        #expect(!waiter.isResumed)
        #expect(waiter.resume(1))
        #expect(!waiter.resume(2))
        #expect(waiter.isResumed)
        #expect(await waiter.value() == 1)
    }

    @Test func aValueThatIsThereIsNotWaitedFor() async {
        #expect(await Waiter(7).value() == 7)
        #expect(await Waiter<Int?>(.some(nil)).value() == nil)
    }

    @Test func aCancelledTaskGetsItsOwnValue() async {
        let waiter = Waiter<Int>()
        let task = Task { await waiter.value(ifCancelled: -1) }
        task.cancel()
        #expect(await task.value == -1)
        #expect(!waiter.resume(1))
    }

    @Test func aValueThatCameBeforeTheCancellationIsKept() async {
        let waiter = Waiter<Int>()
        waiter.resume(1)
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return await waiter.value(ifCancelled: -1)
        }
        task.cancel()
        #expect(await task.value == 1)
    }

    @Test func eachRaceHasOneWinner() async {
        for _ in 0..<1000 {
            let waiter = Waiter<Int>()
            let task = Task { await waiter.value(ifCancelled: 0) }
            let wins = await withTaskGroup(of: Bool.self) { group in
                for value in 1...3 { group.addTask { waiter.resume(value) } }
                group.addTask {
                    task.cancel()
                    return false
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(wins == (await task.value == 0 ? 0 : 1))
        }
    }

    /// A cancellation runs its handler under the task's lock, which a resumption takes: neither may wait for the other.
    @Test func aCancellationAndAValueThatMeetHoldUpNobody() async {
        let rounds = 5000
        let gate = Mutex<(round: Int, waiter: Waiter<Int>?, task: Task<Int, Never>?)>((0, nil, nil))
        let passed = Atomic(0)
        for side in 0..<2 {
            Thread.detachNewThread {
                for round in 1...rounds {
                    var (waiter, task): (Waiter<Int>?, Task<Int, Never>?)
                    while waiter == nil {
                        (waiter, task) = gate.withLock { $0.round == round ? ($0.waiter, $0.task) : (nil, nil) }
                    }
                    if side == 0 { waiter?.resume(1) } else { task?.cancel() }
                    passed.add(1, ordering: .sequentiallyConsistent)
                }
            }
        }
        for round in 1...rounds {
            let waiter = Waiter<Int>()
            let task = Task.detached { await waiter.value(ifCancelled: 0) }
            for _ in 0..<round % 50 { await Task.yield() }
            gate.withLock { $0 = (round, waiter, task) }
            _ = await task.value
            while passed.load(ordering: .sequentiallyConsistent) < 2 * round { await Task.yield() }
        }
    }

    @Test func theyAreResumedInOrderAndTheCancelledAreSkipped() async {
        var waiters = Waiters<Int>()
        let (first, second, third) = (waiters.add(), waiters.add(), waiters.add())
        let cancelled = Task { await first.value(ifCancelled: -1) }
        cancelled.cancel()
        #expect(await cancelled.value == -1)
        let isResumed = waiters.resumeFirst(1)
        #expect(isResumed)
        #expect(await second.value() == 1)
        let fourth = waiters.add()
        waiters.resumeAll(2)
        #expect(await third.value() == 2)
        #expect(await fourth.value() == 2)
        let isOneLeft = waiters.resumeFirst(3)
        #expect(!isOneLeft)
    }

    @Test func theCancelledDoNotPileUp() {
        var waiters = Waiters<Void>()
        weak var oldest: Waiter<Void>?
        for round in 0..<100 {
            let waiter = waiters.add()
            if round == 0 { oldest = waiter }
            waiter.resume()
        }
        #expect(oldest == nil)
    }
}
