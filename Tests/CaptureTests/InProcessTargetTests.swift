import Foundation
import JSON
import Logging
import OsloMessaging
import Synchronization
import Testing

@testable import Capture

@Suite(.timeLimit(.minutes(10))) struct InProcessTargetTests {
    /// `echo` answers, `swap_volume` is stored and answered on its own, `full` cannot be stored.
    struct Endpoint: RPCEndpoint {
        let replies: ReplyPublisher

        func take(_ request: RPCRequest) -> RPCRequest { request }

        func carryOut(_ request: RPCRequest) async -> RPCDisposition {
            switch request.method {
            case "full": return .notStored(reason: "full")
            case "swap_volume":
                if let address = request.replyAddress {
                    Task { await replies.send(result: .success("moved"), to: address, uniqueID: "r") }
                }
                return .stored
            default: return .reply(.success(.object(request.args)))
            }
        }
    }

    private func outcomes(_ lines: [CaptureLine]) async throws -> [Int: String] {
        let target = InProcessTarget()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let replies = ReplyPublisher(publisher: target.transport, logger: logger)
        let server = RPCServer(
            transport: target.transport, endpoint: Endpoint(replies: replies), replies: replies,
            configuration: .init(methods: ["echo", "swap_volume", "full"]), logger: logger)
        let file = try TemporaryFile("c.jsonl", lines.map { $0.json.serialized() + "\n" }.joined())
        let found = Outcomes()
        var options = Replayer.Options()
        options.speed = .max
        let replayer = Replayer(target: target, options: options) { event in
            if case .outcome(let message, let outcome, _) = event {
                found.texts.withLock { $0[message.number] = outcome.summary }
            }
        }
        async let served: Void = server.run()
        _ = try await replayer.replay([try CaptureReader(path: file.path)])
        try await served
        return found.texts.withLock { $0 }
    }

    final class Outcomes: Sendable {
        let texts = Mutex<[Int: String]>([:])
    }

    @Test func everyMessageHasItsOutcome() async throws {
        func line(_ method: String, _ number: Int, call: Bool = true) -> CaptureLine {
            let ids: JSONObject = ["_msg_id": call ? .string("m\(number)") : .null, "_unique_id": .string("u\(number)")]
            return MessageTests.request(method, [:], ids)
        }
        let garbage = CaptureLine(capturedAt: nil, exchange: "e", routingKey: "k", body: .bytes([0x80]))
        let nameless = CaptureLine(
            capturedAt: nil, exchange: "e", routingKey: "k", body: .json(["method": 7, "_msg_id": "m", "_reply_q": "q"]))
        let outcomes = try await outcomes([
            line("echo", 1), line("swap_volume", 2), line("swap_volume", 2), line("swap_volume", 3, call: false),
            line("echo", 4, call: false), line("nothing", 5), garbage, nameless, line("full", 6),
        ])
        #expect(outcomes[1] == "ok" && outcomes[2] == "ok" && outcomes[3] == "duplicate")
        #expect(outcomes[4] == "ok", "a cast's outcome shows too")
        #expect(outcomes[5] == "accepted")
        #expect(outcomes[6]?.hasPrefix("NoSuchMethod") == true)
        #expect(outcomes[7]?.hasPrefix("rejected") == true)
        #expect(outcomes[8]?.hasPrefix("InvalidInput") == true)
        #expect(outcomes[9]?.hasPrefix("lost") == true)
    }
}
