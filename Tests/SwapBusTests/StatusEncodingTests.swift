import Foundation
import JSON
import OsloMessaging
import Testing

@testable import SwapBus
@testable import VolumeSwap

@Suite("get_swap's status")
struct StatusEncodingTests {
    static let uuid = "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0099"
    static let keys = [
        "task_id", "instance_uuid", "disk", "old_volume_id", "new_volume_id", "strategy", "hypervisor", "state", "accepted_at",
        "started_at", "finished_at", "request_id", "waits_for", "reason_code", "in_use", "detail", "progress", "result",
        "failure",
    ]

    private func json(_ outcome: SwapOutcome? = nil, _ phase: SwapPhase = .accepted) -> JSONValue {
        var record = SwapRecord(
            id: TaskID("t1"), instanceKey: Self.uuid, disk: "vdb", args: ["new_volume_id": "new"], replyTo: nil, acceptedAt: .now)
        record.outcome = outcome
        record.phase = phase
        return SwapStatus(record, control: nil, hypervisor: "qemu").json(NovaFailure())
    }

    @Test("All members are there before anything is known")
    func queued() throws {
        let json = json()
        #expect(json.objectValue.map { Array($0.keys) } == Self.keys)
        #expect(json["state"] == "queued" && json["instance_uuid"] == .string(Self.uuid) && json["new_volume_id"] == "new")
        for key in ["old_volume_id", "strategy", "started_at", "result", "failure", "in_use", "reason_code"] {
            #expect(json[key] == .null)
        }
        #expect(
            json["progress"]
                == [
                    "copied_bytes": 0, "total_bytes": 0, "remaining_bytes": 0, "rate_bytes_s": nil, "eta_s": nil,
                    "limit_bytes_s": nil, "guest_latency_ms": nil, "copy_mode": nil,
                ])
    }

    @Test("Progress has a rate")
    func progress() {
        var progress = SwapProgress()
        (progress.copiedBytes, progress.totalBytes, progress.rate, progress.limit) = (250, 1000, 100.7, 2048)
        (progress.isSynchronous, progress.guestLatency) = (false, 2.3456)
        #expect(
            progress.json
                == [
                    "copied_bytes": 250, "total_bytes": 1000, "remaining_bytes": 750, "rate_bytes_s": 100, "eta_s": .real(7.4),
                    "limit_bytes_s": 2048, "guest_latency_ms": .real(2.346), "copy_mode": "background",
                ])
    }

    @Test("A result is shown without its secrets")
    func success() {
        let result = SwapResult(
            taskID: TaskID("t1"), instanceUUID: Self.uuid, disk: "vdb", strategy: .copy, hypervisor: "qemu",
            connectionInfo: ["data": ["auth_password": "hunter-two", "secret_uuid": "u"]], capacityBytes: 10, copiedBytes: 9,
            duration: 1.2345)
        let json = json(.success(result), .completed)
        #expect(json["state"] == "completed" && json["in_use"] == "new" && json["strategy"] == "copy")
        #expect(!json.serialized().contains("hunter-two"))
        #expect(json["result"]?["connection_info"]?["data"]?["secret_uuid"] == "u")
        #expect(json["result"]?["duration_s"] == .real(1.235))
        #expect(SwapResult(json: result.json)?.json == result.json)
    }

    @Test("A failure is shown as the nova exception that its caller got")
    func failure() {
        var refusal = SwapFailure.invalidVolume("too small", .newVolumeTooSmall)
        refusal.inUse = .old
        let json = json(.failure(refusal), .failed)
        #expect(json["state"] == "failed" && json["reason_code"] == "new_volume_too_small" && json["in_use"] == "old")
        #expect(json["failure"]?["class"] == "InvalidVolume" && json["failure"]?["kwargs"]?["task_id"] == "t1")
        #expect(json["failure"]?["message"]?.stringValue?.contains("too small") == true)
    }

    @Test("With its history, a status says who asked, what happened and what became of the reply")
    func history() {
        let date = Date(timeIntervalSince1970: 1_700_000_000.25)
        let context: JSONObject = ["user_id": "u1", "tenant": "p1", "auth_token": "hunter-two"]
        var record = SwapRecord(
            id: TaskID("t1"), instanceKey: Self.uuid, disk: "vdb", args: [:], context: context,
            replyTo: ReplyTo(messageID: "m1", queue: "reply_1", timeout: nil), acceptedAt: date)
        func json(_ events: [HistoryEntry.Event]) -> JSONValue {
            SwapStatus(stored: record).json(NovaFailure(), history: events.map { HistoryEntry($0, at: date) })
        }
        let told = json([.phase(.rollingBack), .note("no space"), .reply(.givenUp)])
        #expect(told["caller"] == ["user_id": "u1", "project_id": "p1", "reply_queue": "reply_1"])
        #expect(told["reply"] == "given_up" && told["hypervisor"] == "unknown" && told["state"] == "queued")
        let events = told["history"]?.arrayValue ?? []
        #expect(events.map { $0["event"]?.stringValue } == ["phase", "note", "reply"])
        #expect(events.map { $0["text"]?.stringValue } == ["rolling_back", "no space", "given_up"])
        #expect(events.first?["at"] == "2023-11-14T22:13:20.250Z")
        #expect(!told.serialized().contains("hunter-two"))
        #expect(json([])["reply"] == "owed")
        record.replyTo = nil
        #expect(json([])["reply"] == "none" && json([])["caller"]?["reply_queue"] == .null)
    }

    @Test("Times are RFC 3339 in UTC")
    func timestamps() {
        #expect(SwapStatus.timestamp(Date(timeIntervalSince1970: 1_700_000_000.25)) == "2023-11-14T22:13:20.250Z")
    }
}
