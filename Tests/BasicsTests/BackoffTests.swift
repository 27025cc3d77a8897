import Basics
import Testing

@Suite struct BackoffTests {
    private struct Highest: RandomNumberGenerator {
        func next() -> UInt64 { .max }
    }

    @Test func ceilingDoublesUpToTheMaximum() {
        var backoff = Backoff(first: .milliseconds(500), longest: .seconds(3))
        var generator = SystemRandomNumberGenerator()
        var ceilings: [Duration] = []
        for _ in 0..<5 {
            ceilings.append(backoff.ceiling)
            _ = backoff.jitteredPause(using: &generator)
        }
        #expect(ceilings == [.milliseconds(500), .seconds(1), .seconds(2), .seconds(3), .seconds(3)])
        backoff.reset()
        #expect(backoff.ceiling == .milliseconds(500))
    }

    @Test func delaysUseTheWholeRange() {
        var backoff = Backoff(first: .seconds(4), longest: .seconds(4))
        var generator = SystemRandomNumberGenerator()
        let delays = (0..<1000).map { _ in backoff.jitteredPause(using: &generator) }
        #expect(delays.allSatisfy { $0 >= .zero && $0 <= .seconds(4) })
        #expect(delays.contains { $0 < .seconds(1) } && delays.contains { $0 > .seconds(3) })
    }

    @Test func pausesWithoutJitterAreTheCeilings() {
        var backoff = Backoff(first: .milliseconds(100), longest: .milliseconds(350))
        #expect((0..<4).map { _ in backoff.pause() } == [100, 200, 350, 350].map { .milliseconds($0) })
        backoff.reset()
        #expect(backoff.pause() == .milliseconds(100))
    }

    @Test func manyFailuresDoNotOverflow() {
        var backoff = Backoff(first: .milliseconds(1), longest: .seconds(30))
        var generator = Highest()
        for _ in 0..<10_000 { _ = backoff.jitteredPause(using: &generator) }
        #expect(backoff.ceiling == .seconds(30))
    }
}
