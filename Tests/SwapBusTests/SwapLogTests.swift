import Foundation
import JSON
import Logging
import OsloMessaging
import Testing

@testable import SwapBus
@testable import VolumeSwap

@Suite("What the log says of swaps") struct SwapLogTests {
    private let record = SwapRecord(
        id: TaskID("t"), instanceKey: "i", disk: "vdb", args: ["old_volume_id": "old", "new_volume_id": "new"],
        context: ["request_id": "req-1", "auth_token": "gAAAAAB"], replyTo: nil, acceptedAt: .now)

    private func log(_ outcome: SwapOutcome, overhead: Duration? = nil) -> SwapLog {
        SwapLog(record: record, outcome: outcome, duration: .seconds(10), overhead: overhead)
    }

    private var result: SwapResult {
        SwapResult(
            taskID: TaskID("t"), instanceUUID: "i", disk: "vdb", oldVolumeID: "old", newVolumeID: "new", strategy: .copy,
            hypervisor: "qemu", connectionInfo: [:], capacityBytes: 800, copiedBytes: 800, duration: 10)
    }

    @Test("The end of a swap names the volumes, the bytes, the seconds and the rate")
    func success() {
        #expect(log(.success(result)).level == .info)
        let metadata = log(.success(result), overhead: .seconds(2)).metadata.mapValues { "\($0)" }
        #expect(
            metadata == [
                "task_id": "t", "instance": "i", "disk": "vdb", "request_id": "req-1", "old_volume_id": "old",
                "new_volume_id": "new", "seconds": "10.0", "bytes": "800", "bytes_per_second": "100.0",
            ])
    }

    @Test(
        "A refusal is a notice, a failure a warning, and what leaves something to do an error",
        arguments: [
            (SwapFailure.invalidInput("x"), Logger.Level.notice), (.invalidVolume("x"), .notice), (.abortedByRequest, .notice),
            (.rebaseFailed("x", .noSpace), .warning), (.rebaseFailed("x", .internal), .error),
            (SwapFailure(.volumeRebaseFailed, "x", .ioError, inUse: .unknown), .error),
            (SwapFailure(.volumeRebaseFailed, "x", .configurationFailed, inUse: .new), .error),
            (SwapFailure(.volumeRebaseFailed, "x", .aborted, inUse: .old, leftBehind: ["a copy"]), .error),
        ])
    func levels(failure: SwapFailure, level: Logger.Level) {
        #expect(log(.failure(failure)).level == level)
    }

    @Test("Requests that steer swaps are logged with their caller, and never with a token")
    func control() throws {
        let uuid = "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0099"
        let request = try RPCRequest(inner: [
            "method": "set_bandwidth", "version": "1.0",
            "args": ["instance": .string(uuid), "mountpoint": "/dev/vdb", "bandwidth_mib_s": 5],
            "_context_user_id": "admin", "_context_user": "token=gAAAAAB", "_context_auth_token": "gAAAAAB",
            "_context_request_id": .string(String(repeating: "r", count: 1000)), "_context_project_id": nil,
        ])
        let metadata = ControlLog.metadata(request).mapValues { "\($0)" }
        #expect(Set(metadata.keys) == ["instance", "disk", "bandwidth_mib_s", "user_id", "user", "request_id"])
        #expect(metadata["instance"] == uuid && metadata["disk"] == "vdb" && metadata["bandwidth_mib_s"] == "5")
        #expect(metadata["user_id"] == "admin" && metadata["user"]?.contains("gAAAAAB") == false)
        #expect((metadata["request_id"]?.count ?? 0) < 300)
        #expect(
            [AbortSwap.isControl, SetBandwidth.isControl, PauseQueue.isControl, ResumeQueue.isControl, Drain.isControl]
                == Array(repeating: true, count: 5))
        #expect(!GetSwap.isControl)
    }
}
