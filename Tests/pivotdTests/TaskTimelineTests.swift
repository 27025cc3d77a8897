import Foundation
import JSON
import Testing

@testable import pivotd

@Suite struct TaskTimelineTests {
    private static func event(_ second: String, _ kind: String, _ text: String) -> JSONValue {
        ["at": .string("2026-11-23T10:00:\(second)Z"), "event": .string(kind), "text": .string(text)]
    }

    private static let failed: JSONObject = [
        "task_id": "9f1d1c0a7b5e4a7e8c2d3b4a5f607182", "instance_uuid": "7f0c4a5e-3a39-4b8a-9f0e-2b6d0d0c7a11", "disk": "vdb",
        "old_volume_id": "old", "new_volume_id": "new", "strategy": "copy", "state": "failed", "request_id": "req-6c1b0a5e",
        "accepted_at": "2026-11-23T10:00:00.000Z", "finished_at": "2026-11-23T10:00:05.500Z", "reason_code": "no_space",
        "in_use": "old", "reply": "given_up",
        "caller": ["user_id": "u1", "project_id": nil, "reply_queue": "reply_1"],
        "progress": ["copied_bytes": 536_870_912, "total_bytes": 1_073_741_824],
        "failure": ["message": "Volume rebase failed: no space left on device", "kwargs": ["left_behind": ["a job"]]],
        "history": [
            event("00.004", "phase", "preparing"), event("00.050", "note", "vdb of i: file /v/old to block /dev/vg/new by copy"),
            event("00.100", "phase", "starting"), event("00.300", "phase", "copying"),
            event("05.100", "note", "rolls back: no space left on device"), event("05.200", "phase", "rolling_back"),
            event("05.500", "phase", "failed"), event("05.700", "reply", "given_up"),
        ],
    ]

    private func text(_ status: JSONObject, now: Date = .now) -> String {
        TaskTimeline(.object(status), columns: 80, now: now).text
    }

    @Test func aFailedSwapIsToldInOrder() {
        #expect(
            text(Self.failed) == """
                task      9f1d1c0a7b5e4a7e8c2d3b4a5f607182
                disk      vdb of instance 7f0c4a5e-3a39-4b8a-9f0e-2b6d0d0c7a11
                volumes   old to new
                asked by  request req-6c1b0a5e, user u1
                strategy  copy, 1 attempt
                state     failed: no_space
                guest     runs on the old volume
                reply     given up to reply_1: the queue was missing, or the broker refused it

                2026-11-23 UTC
                  10:00:00.000  4 ms      accepted
                  10:00:00.004  96 ms     preparing
                  10:00:00.050            vdb of i: file /v/old to block /dev/vg/new by copy
                  10:00:00.100  200 ms    starting
                  10:00:00.300  4.9 s     copying
                  10:00:05.100            rolls back: no space left on device
                  10:00:05.200  300 ms    rolling_back
                  10:00:05.500            failed
                  10:00:05.700            reply given up

                copied    vdb: 50 %  512 MiB of 1.0 GiB  failed
                failure   Volume rebase failed: no space left on device
                left      a job
                """)
    }

    @Test func aRunningSwapsPhaseLastsUntilNow() throws {
        var status = Self.failed
        status.merge(["state": "copying", "reason_code": nil, "in_use": nil, "failure": nil, "reply": "owed"])
        status["history"] = [Self.event("00.300", "phase", "copying")]
        status["progress"] = ["copied_bytes": 1, "total_bytes": 4, "limit_bytes_s": 1_048_576]
        let now = Date(timeIntervalSince1970: 1_795_428_060.3)
        let text = text(status, now: now)
        #expect(text.contains("copying") && text.contains("reply     owed to reply_1"))
        #expect(text.contains("limit     1.0 MiB/s"))
        #expect(!text.contains("guest "))
    }

    @Test func anAbortedSwapsStateIsNamedOnce() {
        var status = Self.failed
        status.merge(["state": "aborted", "reason_code": "aborted"])
        #expect(text(status).contains("\nstate     aborted\n"))
    }

    @Test func longTextsAreWrappedAndEscapesRemoved() {
        var status = Self.failed
        status["history"] = [Self.event("00.300", "note", String(repeating: "word ", count: 60) + "\u{1B}[2J")]
        status["failure"] = ["message": .string(String(repeating: "cause ", count: 60)), "kwargs": [:]]
        let text = text(status)
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 80 })
        #expect(!text.unicodeScalars.contains("\u{1B}"))
    }
}
