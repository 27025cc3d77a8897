import Testing

@testable import VolumeSwap

@Suite("Watching a copy until its mirror is in sync")
struct MirrorWatchTests {
    static let start = ContinuousClock.now
    static let plan = Fixture.plan()

    static func job(_ cursor: Int64, _ end: Int64) -> BlockJobInfo { BlockJobInfo(type: "copy", cursor: cursor, end: end) }

    static func end(_ status: BlockJobStatus) -> HypervisorEvent { .blockJob(disk: plan.disk, status: status, at: start) }

    static func failure(_ verdict: MirrorWatch.Verdict) -> SwapFailure? {
        guard case .ended(.failed(let failure)) = verdict else { return nil }
        return failure
    }

    var watch = MirrorWatch(plan, isAdopted: false, now: start)

    @Test("In sync with nothing left is ready at once")
    mutating func inStep() {
        let wasFull = watch.beginLook()
        #expect(!wasFull)
        let verdict = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(9, 9)), now: Self.start)
        guard case .inStep = verdict else { return #expect(Bool(false), "\(verdict)") }
        let isFull = watch.beginLook()
        #expect(watch.readyAt == Self.start && isFull)
    }

    @Test("In sync on a new volume that takes no writes is inspected again until the cursor moves")
    mutating func takesNothing() {
        for _ in 0..<3 {
            let verdict = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(5, 9)), now: Self.start)
            guard case .copies(nextLook: .some) = verdict else { return #expect(Bool(false), "\(verdict)") }
        }
        let verdict = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(6, 9)), now: Self.start)
        guard case .inStep = verdict else { return #expect(Bool(false), "\(verdict)") }
    }

    @Test("A job that is gone without an event has ended after a grace period")
    mutating func gone() {
        guard case .gone = watch.judge(.init(sight: .onOld, job: nil), now: Self.start) else {
            return #expect(Bool(false), "not waited for")
        }
        let failure = Self.failure(watch.judge(.init(sight: .onOld, job: nil), now: Self.start + .seconds(3)))
        #expect(failure == Self.plan.failure("the copy ended without an event that explains it"))
    }

    @Test("The end has the cause from the event, in QEMU's words if there are any")
    mutating func reported() {
        let takes = watch.take(Self.end(.failed))
        #expect(takes)
        let adds = watch.take(.jobError(disk: Self.plan.disk, message: "No space left on device"))
        #expect(!adds)
        let failure = Self.failure(watch.judge(.init(sight: .onOld, job: nil), now: Self.start))
        #expect(failure == Self.plan.failure("No space left on device", .noSpace))
    }

    @Test("An unexplained cancel was someone else's")
    mutating func cancelled() {
        let takes = watch.take(Self.end(.canceled))
        #expect(takes)
        let failure = Self.failure(watch.judge(.init(sight: .onOld, job: nil), now: Self.start))
        #expect(failure == Self.plan.failure("the copy was cancelled by someone else", .foreignJob))
    }

    @Test("An earlier job's end is ignored once ours is seen")
    mutating func staleEnd() {
        let takes = watch.take(Self.end(.completed))
        #expect(takes)
        _ = watch.beginLook()
        guard case .copies = watch.judge(.init(sight: .copying(isReady: false), job: Self.job(1, 9)), now: Self.start) else {
            return #expect(Bool(false), "not copying")
        }
        guard case .gone = watch.judge(.init(sight: .onOld, job: nil), now: Self.start) else {
            return #expect(Bool(false), "the stale end was taken for ours")
        }
    }

    @Test("Another disk's event calls for no inspection")
    mutating func foreign() {
        let takes = watch.take(.blockJob(disk: "vdz", status: .ready, at: Self.start))
        #expect(!takes)
        #expect(watch.readyAt == nil)
    }

    @Test("A copy is outrun once it moves without what remains shrinking for the window, but not once it was in sync")
    func outrun() {
        var plan = Self.plan
        plan.options.convergence = .auto
        var watch = MirrorWatch(plan, isAdopted: false, window: .seconds(10), now: Self.start)
        for second in 0...10 {
            let now = Self.start + .seconds(second)
            #expect(second == 0 || !watch.mustConverge(now: now - .seconds(1)))
            _ = watch.judge(.init(sight: .copying(isReady: false), job: Self.job(Int64(second), Int64(second + 5))), now: now)
        }
        #expect(watch.mustConverge(now: Self.start + .seconds(10)))
        // It stands still.
        _ = watch.judge(.init(sight: .copying(isReady: false), job: Self.job(10, 15)), now: Self.start + .seconds(11))
        #expect(!watch.mustConverge(now: Self.start + .seconds(11)))
        _ = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(12, 17)), now: Self.start + .seconds(12))
        #expect(!watch.mustConverge(now: Self.start + .seconds(12)))
    }

    /// What is left of a mirror that was in sync, in MiB at each second; it copies so much of it a second.
    ///
    /// - Returns: whether it was ready to pivot then.
    private static func verdicts(_ remaining: [Int64], rate: Int64, _ watch: inout MirrorWatch) -> [Bool] {
        var verdicts: [Bool] = []
        for (second, left) in remaining.enumerated() {
            let cursor = Int64(second) * rate << 20
            let sample = MirrorWatch.Sample(sight: .copying(isReady: true), job: job(cursor, cursor + left << 20))
            let isInStep = if case .inStep = watch.judge(sample, now: start + .seconds(second)) { true } else { false }
            verdicts.append(isInStep)
        }
        return verdicts
    }

    @Test("A mirror in sync that waits for others does not stall")
    func waits() {
        var plan = Self.plan
        plan.options.stallTimeoutS = 10
        var watch = MirrorWatch(plan, isAdopted: true, now: Self.start)
        watch.beginTurn(now: Self.start)
        for second in 0...30 {
            let now = Self.start + .seconds(second)
            _ = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(10, 10)), now: now)
            #expect(watch.stall(now: now) == nil)
        }
        // Nothing is known of it any more.
        #expect(watch.stall(now: Self.start + .seconds(41)) != nil)
    }

    @Test("A mirror that was in sync is not ready while more is left than is soon copied, and shows how much")
    mutating func behind() {
        let whileFar = Self.verdicts([5000, 5000, 5000], rate: 100, &watch)
        #expect(whileFar == [false, false, false] && watch.progress.remainingBytes == 5000 << 20)
        var small = MirrorWatch(Self.plan, isAdopted: true, now: Self.start)
        let whileNear = Self.verdicts([64, 64], rate: 1, &small)
        #expect(whileNear == [false, true])
        var fast = MirrorWatch(Self.plan, isAdopted: true, now: Self.start)
        let whileFast = Self.verdicts([100, 200, 300, 200], rate: 500, &fast)
        #expect(whileFast == [false, false, false, true] && fast.progress.remainingBytes == 0)
    }

    @Test("One that the guest has outrun since it was in sync is made to converge, and else stalls, in times that begin then")
    func outrunInSync() {
        var plan = Self.plan
        plan.options.convergence = .auto
        plan.options.stallTimeoutS = 40
        var watch = MirrorWatch(plan, isAdopted: true, window: .seconds(10), now: Self.start)
        _ = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(9, 9)), now: Self.start)
        var (converges, stalls): ([Int], [Int]) = ([], [])
        for second in 100...150 {
            let now = Self.start + .seconds(second)
            let cursor = Int64(second) << 20
            let job = Self.job(cursor, cursor + 5000 << 20)
            _ = watch.judge(.init(sight: .copying(isReady: true), job: job), now: now)
            if watch.mustConverge(now: now) { converges.append(second) }
            if watch.stall(now: now) != nil { stalls.append(second) }
        }
        #expect(converges.first == 110 && stalls.first == 140)
        let outrun = "the guest writes as fast as the copy runs: for over 30 s "
        #expect(watch.standstill(now: Self.start + .seconds(150))?.hasPrefix(outrun) == true)
    }

    @Test("When a held swap's turn comes, it shows anew that its volume takes writes, and its stall time-out begins")
    func turn() {
        var plan = Self.plan
        plan.options.stallTimeoutS = 300
        var watch = MirrorWatch(plan, isAdopted: false, now: Self.start)
        let job = Self.job(5, 9)
        _ = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(4, 9)), now: Self.start)
        _ = watch.judge(.init(sight: .copying(isReady: true), job: job), now: Self.start + .seconds(1))
        let turn = Self.start + .seconds(86_400)
        watch.beginTurn(now: turn)
        for second in [0, 1, 299] {
            let verdict = watch.judge(.init(sight: .copying(isReady: true), job: job), now: turn + .seconds(second))
            guard case .copies = verdict else { return #expect(Bool(false), "\(verdict)") }
            #expect(watch.stall(now: turn + .seconds(second)) == nil)
        }
        let told = watch.standstill(now: turn + .seconds(299))
        #expect(told?.hasPrefix("the new volume takes no writes (for over 4 min): ") == true)
        #expect(told?.contains("stall_timeout_s") == true)
        #expect(watch.standstill(now: turn + .seconds(299), isHeld: true)?.contains("stall_timeout_s") == false)
        #expect(watch.stall(now: turn + .seconds(301))?.code == .stalled)
    }

    @Test("What keeps a copy from getting on is told until it is in sync")
    mutating func standstill() {
        _ = watch.judge(.init(sight: .copying(isReady: false), job: Self.job(5, 900)), now: Self.start)
        _ = watch.judge(.init(sight: .copying(isReady: false), job: Self.job(5, 900)), now: Self.start + .seconds(60))
        #expect(watch.standstill(now: Self.start + .seconds(60))?.hasPrefix("the copy has not advanced for over 1 min: ") == true)
        _ = watch.judge(.init(sight: .copying(isReady: false), job: Self.job(9, 950)), now: Self.start + .seconds(61))
        let outrun = "the guest writes as fast as the copy runs: for over 1 min "
        #expect(watch.standstill(now: Self.start + .seconds(61))?.hasPrefix(outrun) == true)
        _ = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(950, 950)), now: Self.start + .seconds(62))
        #expect(watch.standstill(now: Self.start + .seconds(200)) == nil)
    }

    @Test("The stall time-out is named without decimals that say nothing", arguments: [(300, "300"), (0.5, "0.5")])
    func stallTimeout(seconds: Double, text: String) {
        var plan = Self.plan
        plan.options.stallTimeoutS = seconds
        var watch = MirrorWatch(plan, isAdopted: false, now: Self.start)
        _ = watch.judge(.init(sight: .copying(isReady: false), job: Self.job(5, 900)), now: Self.start)
        let later = Self.start + .seconds(seconds + 40)
        #expect(watch.standstill(now: later)?.hasSuffix("the swap fails after stall_timeout_s, \(text) seconds") == true)
        #expect(watch.stall(now: later)?.reason.hasSuffix("did not shrink for stall_timeout_s, \(text) seconds") == true)
    }

    @Test("A copy that is outrun is sped up once in each half of the window")
    func hurry() {
        var watch = MirrorWatch(Self.plan, isAdopted: false, window: .seconds(10), now: Self.start)
        let hurried = (0...16).filter { second in
            let now = Self.start + .seconds(second)
            _ = watch.judge(.init(sight: .copying(isReady: false), job: Self.job(Int64(second), Int64(second + 5))), now: now)
            return watch.mustHurry(now: now)
        }
        #expect(hurried == [5, 10, 15])
    }

    @Test("An adopted copy is inspected in full from the start")
    func adopted() {
        var watch = MirrorWatch(Self.plan, isAdopted: true, now: Self.start)
        let isFull = watch.beginLook()
        #expect(isFull)
    }
}
