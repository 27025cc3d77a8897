import Testing

@testable import Journal

struct CommitWaitTests {
    let start = ContinuousClock.now

    func at(_ seconds: Int) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test func theOldestChangeCounts() {
        var wait = CommitWait()
        #expect(wait.oldest(at: start) == .zero)
        wait.queued(at: start)
        wait.queued(at: at(1))
        #expect(wait.oldest(at: at(2)) == .seconds(2))
        wait.begins()
        wait.queued(at: at(3))
        #expect(wait.oldest(at: at(9)) == .seconds(9), "the disk hangs")
        wait.ends()
        #expect(wait.oldest(at: at(9)) == .seconds(6), "what came meanwhile")
        wait.begins()
        wait.ends()
        #expect(wait.oldest(at: at(100)) == .zero)
    }
}
