import JSON
import Testing

@testable import VolumeSwap

@Suite("Task status")
struct SwapStatusTests {
    private func status(_ record: SwapRecord, _ control: SwapControl? = nil) -> SwapStatus {
        SwapStatus(record, control: control, hypervisor: "fake")
    }

    @Test("A status before anything is known")
    func queued() {
        let status = status(Fixture.record())
        #expect(status.phase == .accepted && status.instance == Fixture.uuid && status.strategy == nil)
        #expect(status.failure == nil && status.inUse == nil && status.progress == SwapProgress())
    }

    @Test(
        "An instance that has not been looked up is shown as its request names it",
        arguments: [
            ("name:vm", .null, "vm"), ("task:t", .string(Fixture.uuid), Fixture.uuid), ("task:t", ["name": "vm"], "vm"),
            ("task:t", 1, ""), ("refused:\(Fixture.uuid)", .string(Fixture.uuid), Fixture.uuid),
            ("refused:name:vm", ["name": "vm"], "vm"),
        ] as [(String, JSONValue, String)])
    func instances(key: String, argument: JSONValue, shown: String) {
        let record = Fixture.record("t", ["instance": argument], instanceKey: key)
        #expect(status(record).instance == shown)
    }

    @Test("A running copy shows what its control knows")
    func running() {
        let control = SwapControl(phase: .copying)
        var progress = SwapProgress()
        (progress.copiedBytes, progress.totalBytes) = (250, 1000)
        control.update(progress)
        control.update(Fixture.plan(strategy: .rebase))
        let status = status(Fixture.record(), control)
        #expect(status.phase == .copying && status.strategy == .rebase && status.progress == progress)
    }

    @Test("A result shows how much was copied, a failure how far it came")
    func ended() {
        var record = Fixture.record()
        record.outcome = .success(Fixture.result("task-1"))
        record.phase = .completed
        let success = status(record)
        #expect(success.inUse == .new && success.strategy == .copy && success.progress.remainingBytes == 0)
        #expect(success.progress.copiedBytes == Fixture.result("task-1").copiedBytes)
        var refusal = SwapFailure.invalidVolume("too small", .newVolumeTooSmall)
        refusal.inUse = .old
        refusal.course = SwapCourse(instanceUUID: Fixture.uuid, strategy: .copy, copiedBytes: 3, totalBytes: 9)
        record.outcome = .failure(refusal)
        record.phase = .failed
        let failure = status(record)
        #expect(failure.failure == refusal && failure.inUse == .old && failure.strategy == .copy)
        #expect(failure.progress.copiedBytes == 3 && failure.progress.totalBytes == 9)
    }

    @Test("A failure reported before its roll-back is over is finishing")
    func answeredEarly() {
        var record = Fixture.record()
        record.phase = .rollingBack
        record.outcome = .failure(.rebaseFailed("stalled", .stalled))
        let control = SwapControl(phase: .rollingBack)
        _ = control.note("the domain does not answer")
        let status = status(record, control)
        #expect(status.phase.publicState == "finishing" && status.failure?.code == .stalled)
        #expect(status.detail == "the domain does not answer")
    }

    @Test("Every phase has a documented state", arguments: SwapPhase.allCases)
    func states(phase: SwapPhase) {
        #expect(SwapPhase.publicStates.contains(phase.publicState))
    }
}
