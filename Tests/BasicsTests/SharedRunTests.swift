import Basics
import Testing

@Suite(.timeLimit(.minutes(10))) struct SharedRunTests {
    @Test func whoAsksMeanwhileSharesTheRun() async {
        let (run, gate) = (SharedRun<Int>(), Waiter<Void>())
        let values = await withTaskGroup(of: Int.self) { group in
            for index in 0..<100 {
                group.addImmediateTask {
                    await run.value(ifCancelled: -1) {
                        while !gate.isResumed { await Task.yield() }
                        return index
                    }
                }
            }
            gate.resume()
            return await group.reduce(into: Set<Int>()) { $0.insert($1) }
        }
        #expect(values == [0])
        #expect(await run.value(ifCancelled: -1) { 2 } == 2)
    }

    @Test func theFirstCallersCancellationIsItsOwn() async {
        let (run, gate) = (SharedRun<Int>(), Waiter<Void>())
        let (begun, first) = (Waiter<Void>(), Waiter<Void>())
        let cancelled = Task {
            let value = await run.value(ifCancelled: -1) {
                begun.resume()
                await gate.value()
                return Task.isCancelled ? 0 : 1
            }
            first.resume()
            return value
        }
        await begun.value()
        let value = await withTaskGroup(of: Int.self) { group in
            group.addImmediateTask { await run.value(ifCancelled: -1) { 2 } }
            cancelled.cancel()
            await first.value()
            gate.resume()
            return await group.next()
        }
        #expect(value == 1)
        #expect(await cancelled.value == -1)
    }
}
