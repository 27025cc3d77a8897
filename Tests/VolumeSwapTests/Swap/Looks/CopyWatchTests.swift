import Testing

@testable import VolumeSwap

@Suite("Evaluating a running copy")
struct CopyWatchTests {
    static let start = ContinuousClock.now

    static func job(_ cursor: Int64, _ end: Int64) -> BlockJobInfo { BlockJobInfo(type: "copy", cursor: cursor, end: end) }

    @Test("A cursor that moves along with the end is not progress")
    func chasing() {
        var watch = CopyWatch(stallTimeoutS: 5, now: Self.start)
        var isMoving = true
        for second in 0...5 {
            isMoving = watch.isMoving(
                Self.job(Int64(second) * 100, 1000 + Int64(second) * 100), now: Self.start + .seconds(second))
            if second < 5 { #expect(isMoving) }
        }
        #expect(!isMoving)
    }

    @Test("Shrinking remaining bytes are progress, however slow")
    func shrinking() {
        var watch = CopyWatch(stallTimeoutS: 5, now: Self.start)
        for second in stride(from: 0, to: 400, by: 4) {
            #expect(watch.isMoving(Self.job(Int64(second), 1000), now: Self.start + .seconds(second)) == true)
        }
    }

    @Test("Remaining bytes that grow and only shrink back are not progress")
    func sawtooth() {
        var watch = CopyWatch(stallTimeoutS: 10, now: Self.start)
        #expect(watch.isMoving(Self.job(500, 1000), now: Self.start) == true)
        for second in 1..<10 {
            #expect(
                watch.isMoving(Self.job(500, second.isMultiple(of: 2) ? 1000 : 1200), now: Self.start + .seconds(second)) == true)
        }
        #expect(watch.isMoving(Self.job(500, 1000), now: Self.start + .seconds(10)) == false)
    }

    @Test("A copy that catches up with a burst of writes is not outrun; one that does not is")
    func burst() {
        for isCatchingUp in [true, false] {
            var watch = CopyWatch(stallTimeoutS: 60, window: .seconds(30), now: Self.start)
            var outrunAt: Int?
            for second in 0...120 {
                // 50 a second are copied; a burst of 15 s writes 500.
                let written = min(second, 15) * 500 + (isCatchingUp ? 0 : max(0, second - 15) * 50)
                let cursor = Int64(second) * 50
                watch.sample(Self.job(cursor, 1_000_000 + Int64(written)), now: Self.start + .seconds(second))
                if watch.isOutrun(for: .seconds(30), now: Self.start + .seconds(second)) { outrunAt = outrunAt ?? second }
            }
            #expect(outrunAt == (isCatchingUp ? nil : 30))
            #expect(watch.isStalled(now: Self.start + .seconds(120)) == !isCatchingUp)
        }
    }

    @Test("Samples in close succession are not kept: their number is bounded")
    func frequent() {
        var watch = CopyWatch(stallTimeoutS: 0, window: .seconds(30), now: Self.start)
        for sample in 0..<10_000 {
            watch.sample(Self.job(Int64(sample), 1_000_000 + Int64(sample)), now: Self.start + .milliseconds(10 * sample))
        }
        #expect(watch.isOutrun(for: .seconds(30), now: Self.start + .seconds(100)))
        #expect(
            Mirror(reflecting: watch).children.contains {
                $0.label == "trend" && Mirror(reflecting: $0.value).children.count < 100
            })
    }

    @Test("Time without a connection is no standstill")
    func unconnected() {
        var watch = CopyWatch(stallTimeoutS: 300, now: Self.start)
        watch.sample(Self.job(0, 1000), now: Self.start)
        watch.pause(now: Self.start + .seconds(600))
        #expect(!watch.isStalled(now: Self.start + .seconds(899)))
        #expect(watch.isStalled(now: Self.start + .seconds(900)))
    }

    @Test("A job that has not measured itself yet stalls too")
    func unmeasured() {
        var watch = CopyWatch(stallTimeoutS: 3, now: Self.start)
        #expect(watch.isMoving(Self.job(0, 0), now: Self.start + .seconds(1)) == true)
        #expect(watch.isMoving(Self.job(0, 0), now: Self.start + .seconds(3)) == false)
    }

    @Test("A copy that QEMU has not measured yet is not one with a byte left", arguments: [0, 512] as [Int64])
    func oneByteShort(written: Int64) {
        var watch = CopyWatch(stallTimeoutS: 60, now: Self.start)
        for second in 0..<40 {
            // What the guest writes is copied meanwhile.
            let cursor = Int64(second) * written
            watch.sample(Self.job(cursor, cursor + 1), now: Self.start + .seconds(second))
            #expect(watch.leastRemaining == nil && watch.progress.totalBytes == cursor)
        }
        for second in 40..<200 {
            watch.sample(Self.job(Int64(second) * 100, 1_000_000), now: Self.start + .seconds(second))
            #expect(!watch.isStalled(now: Self.start + .seconds(second)))
            #expect(!watch.isOutrun(for: .seconds(30), now: Self.start + .seconds(second)))
        }
    }

    @Test("A standstill is told after half a minute, and again whenever it has doubled")
    func standstill() {
        var watch = CopyWatch(stallTimeoutS: 0, now: Self.start)
        watch.sample(Self.job(5, 1000), now: Self.start + .seconds(10))
        let told = [39, 40, 69, 70, 129, 130, 250, 4000].map { watch.standstill(now: Self.start + .seconds($0)) }
        #expect(told == [nil, "over 30 s", "over 30 s", "over 1 min", "over 1 min", "over 2 min", "over 4 min", "over 1 h"])
        watch.sample(Self.job(6, 1000), now: Self.start + .seconds(4001))
        #expect(watch.standstill(now: Self.start + .seconds(4002)) == nil)
    }

    @Test("Without a time-out nothing stalls")
    func unlimited() {
        var watch = CopyWatch(stallTimeoutS: 0, now: Self.start)
        #expect(watch.isMoving(Self.job(1, 2), now: Self.start) == true)
        #expect(watch.isMoving(Self.job(1, 2), now: Self.start + .seconds(1_000_000)) == true)
    }

    @Test("Rate and time left are estimated")
    func rate() throws {
        var watch = CopyWatch(stallTimeoutS: 0, now: Self.start)
        _ = watch.isMoving(Self.job(0, 1000), now: Self.start)
        #expect(watch.progress.rate == nil)
        #expect(watch.progress.eta == nil)
        _ = watch.isMoving(Self.job(100, 1000), now: Self.start + .seconds(1))
        #expect(watch.progress.rate == 100)
        #expect(watch.progress.eta == 9)
        _ = watch.isMoving(Self.job(300, 1000), now: Self.start + .seconds(2))
        #expect(try #require(watch.progress.rate) > 100)
        #expect(try #require(watch.progress.rate) < 200)
        #expect(watch.progress.remainingBytes == 700)
        _ = watch.isMoving(Self.job(300, 1000), now: Self.start + .milliseconds(2010))
        #expect(watch.progress.copiedBytes == 300)
    }

    @Test("A cursor that goes back does not make the rate negative")
    func backwards() {
        var watch = CopyWatch(stallTimeoutS: 0, now: Self.start)
        _ = watch.isMoving(Self.job(500, 1000), now: Self.start)
        _ = watch.isMoving(Self.job(100, 1000), now: Self.start + .seconds(1))
        #expect(watch.progress.rate == 0)
        #expect(watch.progress.eta == nil)
        _ = watch.isMoving(Self.job(1200, 1000), now: Self.start + .seconds(2))
        #expect(watch.progress.remainingBytes == 0)
    }
}

extension CopyWatch {
    /// Adds a sample; returns whether the copy has stalled by then.
    fileprivate mutating func isMoving(_ job: BlockJobInfo, now: ContinuousClock.Instant) -> Bool {
        sample(job, now: now)
        return !isStalled(now: now)
    }
}
