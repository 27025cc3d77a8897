import Testing

@testable import VolumeSwap

@Suite("A copy, watched until its mirror is in step")
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

    @Test("In step, and nothing left: at once")
    mutating func inStep() {
        let wasFull = watch.beginLook()
        #expect(!wasFull)
        let verdict = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(9, 9)), now: Self.start)
        guard case .inStep = verdict else { return #expect(Bool(false), "\(verdict)") }
        let isFull = watch.beginLook()
        #expect(watch.readyAt == Self.start && isFull)
    }

    @Test("In step, but the new volume takes nothing: looked at again, and only a cursor that moves is enough")
    mutating func takesNothing() {
        for _ in 0..<3 {
            let verdict = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(5, 9)), now: Self.start)
            guard case .copies(nextLook: .some) = verdict else { return #expect(Bool(false), "\(verdict)") }
        }
        let verdict = watch.judge(.init(sight: .copying(isReady: true), job: Self.job(6, 9)), now: Self.start)
        guard case .inStep = verdict else { return #expect(Bool(false), "\(verdict)") }
    }

    @Test("A job that is gone without an event is waited for, then has ended")
    mutating func gone() {
        guard case .gone = watch.judge(.init(sight: .onOld, job: nil), now: Self.start) else {
            return #expect(Bool(false), "not waited for")
        }
        let failure = Self.failure(watch.judge(.init(sight: .onOld, job: nil), now: Self.start + .seconds(3)))
        #expect(failure == Self.plan.failure("the copy ended without an event that explains it"))
    }

    @Test("The end that an event reports, with QEMU's words where there are any")
    mutating func reported() {
        let takes = watch.take(Self.end(.failed))
        #expect(takes)
        let adds = watch.take(.jobError(disk: Self.plan.disk, message: "No space left on device"))
        #expect(!adds)
        let failure = Self.failure(watch.judge(.init(sight: .onOld, job: nil), now: Self.start))
        #expect(failure == Self.plan.failure("No space left on device", .noSpace))
    }

    @Test("A cancel that QEMU does not explain was somebody else's")
    mutating func cancelled() {
        let takes = watch.take(Self.end(.canceled))
        #expect(takes)
        let failure = Self.failure(watch.judge(.init(sight: .onOld, job: nil), now: Self.start))
        #expect(failure == Self.plan.failure("the copy was cancelled by someone else", .foreignJob))
    }

    @Test("The end of the job before ours counts no more once a look shows ours")
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

    @Test("Another disk's event calls for nothing")
    mutating func foreign() {
        let takes = watch.take(.blockJob(disk: "vdz", status: .ready, at: Self.start))
        #expect(!takes)
        #expect(watch.readyAt == nil)
    }

    @Test("An adopted copy is looked at in full from the start")
    func adopted() {
        var watch = MirrorWatch(Self.plan, isAdopted: true, now: Self.start)
        let isFull = watch.beginLook()
        #expect(isFull)
    }
}
