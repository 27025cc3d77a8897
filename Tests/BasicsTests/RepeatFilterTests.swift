import Testing

@testable import Basics

@Suite("Repeated messages") struct RepeatFilterTests {
    private let start = ContinuousClock.now

    private func pass(_ filter: inout RepeatFilter, _ message: String, after seconds: Int) -> Int? {
        filter.pass(message, at: start + .seconds(seconds))
    }

    @Test("The first is logged at once, repeats with their number once an interval")
    func repeats() {
        var filter = RepeatFilter(interval: .seconds(60))
        #expect([0, 1, 30, 59].map { pass(&filter, "refused", after: $0) } == [0, nil, nil, nil])
        #expect([60, 61, 120].map { pass(&filter, "refused", after: $0) } == [3, nil, 1])
    }

    @Test("Another message is news")
    func others() {
        var filter = RepeatFilter(interval: .seconds(60))
        #expect(["a", "b", "a", "b"].map { pass(&filter, $0, after: 0) } == [0, 0, nil, nil])
    }

    @Test("After a reset the same is news again")
    func reset() {
        var filter = RepeatFilter(interval: .seconds(60))
        _ = pass(&filter, "refused", after: 0)
        filter.reset()
        #expect(pass(&filter, "refused", after: 1) == 0)
    }

    @Test("However many messages there are, few are remembered")
    func bounded() {
        var filter = RepeatFilter(interval: .seconds(60))
        for number in 0..<1000 { #expect(pass(&filter, "\(number)", after: 0) == 0) }
        #expect(pass(&filter, "999", after: 1) == nil)
        #expect(pass(&filter, "1", after: 1) == 0)
    }
}
