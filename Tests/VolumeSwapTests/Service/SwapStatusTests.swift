import Foundation
import JSON
import OrderedCollections
import Testing

@testable import VolumeSwap

@Suite("What get_swap shows")
struct SwapStatusTests {
    static let keys = [
        "task_id", "instance_uuid", "disk", "old_volume_id", "new_volume_id", "strategy", "hypervisor", "state", "accepted_at",
        "started_at", "finished_at", "reason_code", "in_use", "detail", "progress", "result", "failure",
    ]

    @Test("All members, before anything is known")
    func queued() throws {
        let json = SwapStatus.json(Fixture.record(), control: nil, hypervisor: "fake")
        #expect(json.objectValue.map { Array($0.keys) } == Self.keys)
        #expect(json["state"] == "queued")
        #expect(json["instance_uuid"] == .string(Fixture.uuid))
        #expect(json["started_at"] == .null)
        #expect(json["result"] == .null)
        #expect(json["failure"] == .null)
        #expect(
            json["progress"]
                == ["copied_bytes": 0, "total_bytes": 0, "remaining_bytes": 0, "rate_bytes_s": nil, "eta_s": nil])
    }

    @Test("A running copy")
    func running() {
        let control = SwapControl(phase: .copying)
        var progress = SwapProgress()
        progress.copiedBytes = 250
        progress.totalBytes = 1000
        progress.rate = 100.7
        control.update(progress)
        control.update(Fixture.plan(strategy: .rebase))
        let json = SwapStatus.json(Fixture.record(), control: control, hypervisor: "fake")
        #expect(json["state"] == "copying")
        #expect(json["strategy"] == "rebase")
        #expect(json["progress"]?["remaining_bytes"] == 750)
        #expect(json["progress"]?["rate_bytes_s"] == 100)
        #expect(json["progress"]?["eta_s"] == .real(7.4))
    }

    @Test("A result without its secrets; a failure; an abort")
    func ended() {
        var record = Fixture.record()
        record.outcome = .success([
            "connection_info": ["data": ["auth_password": "hunter-two", "secret_uuid": "u"]], "copied_bytes": 9,
            "strategy": "copy",
        ])
        record.phase = .completed
        let success = SwapStatus.json(record, control: nil, hypervisor: "fake")
        #expect(success["state"] == "completed")
        #expect(!success.serialized().contains("hunter-two"))
        #expect(success["result"]?["connection_info"]?["data"]?["secret_uuid"] == "u")
        #expect(success["progress"]?["copied_bytes"] == 9)
        #expect(success["progress"]?["remaining_bytes"] == 0)
        var refusal = SwapFailure.invalidVolume("too small", .newVolumeTooSmall)
        refusal.inUse = .old
        refusal.course = SwapCourse(instanceUUID: Fixture.uuid, strategy: .copy, copiedBytes: 3, totalBytes: 9)
        record.outcome = .failure(refusal)
        record.phase = .failed
        let failure = SwapStatus.json(record, control: nil, hypervisor: "fake")
        #expect(failure["state"] == "failed")
        #expect(failure["failure"]?["reason"] == "too small")
        #expect(failure["reason_code"] == "new_volume_too_small")
        #expect(failure["in_use"] == "old")
        #expect(failure["strategy"] == "copy")
        #expect(failure["progress"]?["copied_bytes"] == 3)
        #expect(SwapFailure(status: failure["failure"])?.code == .newVolumeTooSmall)
        record.outcome = .failure(.abortedByRequest)
        record.phase = .aborted
        #expect(SwapStatus.json(record, control: nil, hypervisor: "fake")["state"] == "aborted")
    }

    @Test("A failure that is told before its roll-back is over is finishing")
    func answeredEarly() {
        var record = Fixture.record()
        record.phase = .rollingBack
        record.outcome = .failure(.rebaseFailed("stalled", .stalled))
        let control = SwapControl(phase: .rollingBack)
        _ = control.note("the domain does not answer")
        let json = SwapStatus.json(record, control: control, hypervisor: "fake")
        #expect(json["state"] == "finishing")
        #expect(json["reason_code"] == "stalled")
        #expect(json["detail"] == "the domain does not answer")
    }

    @Test("Every phase has a state that the contract knows", arguments: SwapPhase.allCases)
    func states(phase: SwapPhase) {
        #expect(SwapPhase.publicStates.contains(phase.publicState))
    }

    @Test("Times are RFC 3339 in UTC")
    func timestamps() {
        #expect(SwapStatus.timestamp(Date(timeIntervalSince1970: 1_700_000_000.25)) == "2023-11-14T22:13:20.250Z")
    }
}
