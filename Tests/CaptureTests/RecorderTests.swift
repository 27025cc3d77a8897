import Foundation
import JSON
import OrderedCollections
import OsloMessaging
import Testing

@testable import Capture

@Suite(.timeLimit(.minutes(1))) struct RecorderTests {
    private func record(
        _ change: (inout Recorder) -> Void, _ send: @escaping @Sendable (InProcessTransport) async -> Void
    ) async throws -> (Recorder.Count, [CaptureLine]) {
        let file = try TemporaryFile()
        let writer = try CaptureWriter(path: file.path)
        let transport = InProcessTransport()
        var recorder = Recorder()
        change(&recorder)
        let sender = Task { await send(transport) }
        let count = try await recorder.record(from: transport, to: writer)
        sender.cancel()
        await transport.close()
        try await writer.close()
        return (count, try await CaptureFileTests.messages(file.path))
    }

    @Test func stopsAtTheLimit() async throws {
        let body = MessageTests.request().body.bytes
        let (count, lines) = try await record {
            $0.limit = 3
        } _: { transport in
            for _ in 0..<5 { transport.deliver(body, exchange: "openstack", routingKey: "pivotd.h") }
        }
        #expect(count.messages == 3 && lines.count == 3 && count.bytes == Int64(3 * body.count))
        #expect(!lines[0].json.serialized().contains("s3cret"))
    }

    @Test func stopsWhenNothingComes() async throws {
        let (count, _) = try await record {
            $0.idleTimeout = .milliseconds(200)
        } _: { transport in
            transport.deliver([1])
        }
        #expect(count.messages == 1)
    }

    @Test func keepsOnlyAnswersToWhatItRecorded() async throws {
        let request = MessageTests.request().body.bytes
        let headers: JSONObject = ["exchange_name": "", "properties": [:]]
        let (_, lines) = try await record {
            $0.limit = 3
            $0.keepsOnlyRepliesToRecorded = true
        } _: { transport in
            for queue in ["reply_2", "reply_1"] {
                transport.deliver(request, exchange: "openstack", routingKey: "pivotd.h")
                var properties = MessageProperties.oslo
                properties.headers = headers.merging(["routing_keys": [.string(queue)]]) { _, new in new }
                transport.deliver([1], properties: properties, exchange: "amq.rabbitmq.trace", routingKey: "publish.")
            }
        }
        #expect(lines.map(\.routingKey) == ["pivotd.h", "pivotd.h", "reply_1"])
    }
}
