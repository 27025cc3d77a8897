import Basics
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
