import Capture
import Daemon
import Foundation
import JSON
import Logging
import OsloMessaging
import Settings
import Testing

@Suite(.timeLimit(.minutes(10))) struct ReplayWorkerTests {
    /// A call of a recording.
    private static func call(_ method: String, _ number: Int, _ args: JSONObject) -> JSONValue {
        let inner: JSONObject = [
            "method": .string(method), "args": .object(args), "_msg_id": .string("m\(number)"), "_reply_q": "reply_1",
            "_unique_id": .string("u\(number)"),
        ]
        return line(inner, exchange: "openstack", key: "pivotd.h")
    }

    private static func answer(_ number: Int) -> JSONValue {
        line(["result": nil, "failure": nil, "ending": true, "_msg_id": .string("m\(number)")], exchange: "", key: "reply_1")
    }

    private static func line(_ inner: JSONObject, exchange: String, key: String) -> JSONValue {
        [
            "captured_at": "2026-11-23T00:58:42Z", "exchange": .string(exchange), "routing_key": .string(key),
            "redelivered": false, "properties": [:],
            "body": ["oslo.version": "2.0", "oslo.message": .string(JSONValue.object(inner).serialized())],
        ]
    }

    private static func swap(_ instance: Int, isHeld: Bool) -> JSONObject {
        func info(_ id: String) -> JSONValue {
            ["driver_volume_type": "lvm", "serial": .string(id), "data": ["device_path": .string("/dev/vg/\(id)")]]
        }
        return [
            "instance": .string("7f0c4a5e-3a39-4b8a-9f0e-2b6d0d0c7a1\(instance)"), "mountpoint": "/dev/vdb",
            "old_connection_info": info("old\(instance)"), "new_connection_info": info("new\(instance)"),
            "options": ["hold": .bool(isHeld)],
        ]
    }

    private func summary(of lines: [JSONValue]) async throws -> Replayer.Summary {
        let file = FileManager.default.temporaryDirectory.appending(path: "replay-\(UUID().uuidString).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data(lines.map { $0.serialized() + "\n" }.joined().utf8).write(to: file)
        let configuration = try PivotdConfiguration.load(
            flags: ["libvirt_uri": "dry-run:"], environment: [:], defaultFile: "/no/such/file")
        let worker = try ReplayWorker(
            configuration: configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        return try await worker.serve(stateDirectory: nil) {
            var options = Replayer.Options()
            options.speed = .max
            let replayer = Replayer(target: worker.target, options: options) { _ in }
            return try await replayer.replay([try CaptureReader(path: file.path)])
        }
    }

    @Test func heldSwapsAndThoseBehindThemAreLostInTheEnd() async throws {
        let lines = [
            Self.call("swap_volume", 1, Self.swap(1, isHeld: true)), Self.call("swap_volume", 2, Self.swap(1, isHeld: false)),
            Self.call("swap_volume", 3, Self.swap(2, isHeld: false)),
        ]
        let summary = try await summary(of: lines)
        #expect(summary.requests == 3 && summary.succeeded == 1 && summary.lost == 2, "\(summary)")
    }

    @Test func aQuestionDoesNotWaitForAHeldSwapForEver() async throws {
        let swap = Self.swap(1, isHeld: true)
        let question: JSONObject = ["instance": swap["instance"] ?? .null, "mountpoint": "/dev/vdb"]
        let lines = [
            Self.call("swap_volume", 1, swap), Self.answer(1), Self.call("get_swap", 2, question),
        ]
        let summary = try await summary(of: lines)
        #expect(summary.requests == 2 && summary.succeeded == 1 && summary.lost == 1, "\(summary)")
    }

    @Test func aPausedQueueEndsAReplayToo() async throws {
        let lines = [Self.call("pause_queue", 1, [:]), Self.call("swap_volume", 2, Self.swap(1, isHeld: false))]
        let summary = try await summary(of: lines)
        #expect(summary.succeeded == 1 && summary.lost == 1, "\(summary)")
    }
}
