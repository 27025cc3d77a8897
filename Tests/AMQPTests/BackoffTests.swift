import Testing

@testable import AMQP

@Suite struct BackoffTests {
    private struct Highest: RandomNumberGenerator {
        func next() -> UInt64 { .max }
    }

    @Test func ceilingDoublesUpToTheMaximum() {
        var backoff = Backoff(initial: .milliseconds(500), maximum: .seconds(3))
        var generator = SystemRandomNumberGenerator()
        var ceilings: [Duration] = []
        for _ in 0..<5 {
            ceilings.append(backoff.ceiling)
            _ = backoff.next(using: &generator)
        }
        #expect(ceilings == [.milliseconds(500), .seconds(1), .seconds(2), .seconds(3), .seconds(3)])
        backoff.reset()
        #expect(backoff.ceiling == .milliseconds(500))
    }

    @Test func delaysUseTheWholeRange() {
        var backoff = Backoff(initial: .seconds(4), maximum: .seconds(4))
        var generator = SystemRandomNumberGenerator()
        let delays = (0..<1000).map { _ in backoff.next(using: &generator) }
        #expect(delays.allSatisfy { $0 >= .zero && $0 <= .seconds(4) })
        #expect(delays.contains { $0 < .seconds(1) } && delays.contains { $0 > .seconds(3) })
    }

    @Test func manyFailuresDoNotOverflow() {
        var backoff = Backoff(initial: .milliseconds(1), maximum: .seconds(30))
        var generator = Highest()
        for _ in 0..<10_000 { _ = backoff.next(using: &generator) }
        #expect(backoff.ceiling == .seconds(30))
    }
}
