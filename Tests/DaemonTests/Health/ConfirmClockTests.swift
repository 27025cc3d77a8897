import Testing

@testable import Daemon

@Suite struct ConfirmClockTests {
    let start = ContinuousClock.now

    func at(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test func theOldestCounts() {
        var clock = ConfirmClock()
        #expect(clock.age(at: start) == .zero)
        let first = clock.begin(at: start)
        let second = clock.begin(at: at(5))
        #expect(clock.age(at: at(8)) == .seconds(8))
        clock.end(first, hasWord: true, at: at(8))
        #expect(clock.age(at: at(8)) == .seconds(3))
        clock.end(second, hasWord: true, at: at(9))
        #expect(clock.age(at: at(100)) == .zero)
    }

    @Test func anotherAttemptIsNoAnswer() {
        var clock = ConfirmClock()
        let first = clock.begin(at: start)
        clock.end(first, hasWord: false, at: at(30))
        #expect(clock.age(at: at(31)) == .seconds(31))
        let second = clock.begin(at: at(31))
        #expect(clock.age(at: at(40)) == .seconds(40))
        clock.end(second, hasWord: true, at: at(41))
        #expect(clock.age(at: at(41)) == .zero)
    }

    @Test func whatIsNotTriedAgainIsForgotten() {
        var clock = ConfirmClock()
        clock.end(clock.begin(at: start), hasWord: false, at: at(30))
        #expect(clock.age(at: at(30) + ConfirmClock.retryGap) == .zero)
    }
}
