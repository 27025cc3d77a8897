import AMQP
import Foundation
import JSON
import OsloMessaging
import Synchronization
import Testing

@testable import Capture

@Suite(.timeLimit(.minutes(10))) struct RecorderTests {
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

    @Test func answersToWhatItRecordedAreWaitedForAndNotCountedTowardsTheLimit() async throws {
        let call = MessageTests.request("a", [:], ["_msg_id": "m1"]).body.bytes
        let other = MessageTests.request("b", [:], ["_msg_id": "m2"]).body.bytes
        let waiting = Mutex<[Int]>([])
        let (count, lines) = try await record {
            $0.limit = 2
            $0.withReplies = true
            $0.onWaiting = { missing in waiting.withLock { $0.append(missing) } }
        } _: { transport in
            @Sendable func answer(_ id: String, to queue: String, isFinal: Bool = true) {
                let content: JSONObject = ["_msg_id": .string(id), "result": 1, "failure": nil, "ending": .bool(isFinal)]
                var properties = AMQPProperties.oslo
                properties.headers = ["exchange_name": "", "properties": .table([:]), "routing_keys": .array([.string(queue)])]
                transport.deliver(
                    MessageEnvelope.wrap(content), properties: properties, exchange: "amq.rabbitmq.trace", routingKey: "publish.")
            }
            answer("m0", to: "reply_1")
            transport.deliver(call, exchange: "openstack", routingKey: "pivotd.h")
            answer("m1", to: "reply_1")
            transport.deliver(other, exchange: "openstack", routingKey: "pivotd.h")
            transport.deliver(call, exchange: "openstack", routingKey: "pivotd.behind")
            answer("m2", to: "reply_1", isFinal: false)
            answer("m2", to: "reply_1")
        }
        #expect(lines.map(\.routingKey) == ["pivotd.h", "reply_1", "pivotd.h", "reply_1", "reply_1"])
        #expect(count.messages == 5 && count.calls == 2 && count.answers == 2)
        #expect(waiting.withLock(\.self) == [1])
    }
}
