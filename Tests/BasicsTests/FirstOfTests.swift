import Testing

@testable import Basics

@Suite("The first of several", .timeLimit(.minutes(10)))
struct FirstOfTests {
    @Test("The first to end decides, and the others are cancelled")
    func first() async {
        let isCancelled = Waiter<Bool>()
        let value = await Basics.first(of: [
            { @Sendable in
                let waits = await Waiter<Bool>().value(ifCancelled: true)
                isCancelled.resume(waits)
                return 1
            },
            { @Sendable in 2 },
        ])
        #expect(value == 2)
        #expect(await isCancelled.value())
    }

    @Test("Of nothing there is no first")
    func nothing() async { #expect(await Basics.first(of: [@Sendable () async -> Int]()) == nil) }
}
