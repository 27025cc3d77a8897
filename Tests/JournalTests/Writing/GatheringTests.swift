import Testing

@testable import Journal

struct GatheringTests {
    @Test func goesOnWhileMoreComes() {
        var gathering = Gathering()
        for _ in 0..<100 {
            let waits = gathering.begins(queued: 1)
            #expect(waits)
            gathering.ends(queued: 1 + Gathering.worth)
        }
    }

    @Test func waitingInVainIsGivenUpForLongerAndLonger() {
        var gathering = Gathering()
        var waits = 0
        for _ in 0..<100_000 {
            if gathering.begins(queued: 1) { waits += 1 }
            gathering.ends(queued: 2)
        }
        #expect((25...40).contains(waits), "64 + 128 + ... + 4096, then every 4096th")
    }

    @Test func isTriedAgainAndThenAsAtFirst() {
        var gathering = Gathering()
        func transactionsWithout() -> Int {
            var count = 0
            while !gathering.begins(queued: 0) { count += 1 }
            return count
        }
        var counts: [Int] = []
        for gain in [0, 100, 0, 0, 0] {
            counts.append(transactionsWithout())
            gathering.ends(queued: gain)
        }
        #expect(counts == [0, 64, 0, 64, 128])
    }
}
