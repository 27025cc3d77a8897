import Foundation
import JSON
import Logging
import Synchronization
import Testing

@testable import OsloMessaging

@Suite(.timeLimit(.minutes(10))) struct NotifierTests {
    @Test func theEnvelopeIsThatOfOslo() {
        let message = Notifier.message(
            eventType: "volume_swap.start", priority: .info, publisherID: "pivotd:h",
            payload: ["auth_password": "hunter2", "a": 1],
            context: ["auth_token": "hunter2", "user": "u"], now: Date(timeIntervalSince1970: 1_700_000_000.25))
        #expect(message["event_type"] == "volume_swap.start")
        #expect(message["priority"] == "INFO")
        #expect(message["publisher_id"] == "pivotd:h")
        #expect(message["timestamp"] == "2023-11-14 22:13:20.250000")
        #expect(message["payload"] == ["auth_password": "***", "a": 1])
        #expect(message["_context_user"] == "u")
        #expect(message["_context_auth_token"] == "***")
        #expect(message["message_id"]?.stringValue?.count == 36)
        #expect(message["_unique_id"]?.stringValue?.count == 32)
    }

    @Test func publishesInOrderAndDropsWhatIsTooMuch() async {
        let published = Mutex<[String]>([])
        let transport = InProcessTransport(onPublish: { message in
            let event = (try? MessageEnvelope.unwrap(message.body))?["event_type"]?.stringValue
            published.withLock { $0.append("\(message.exchange) \(message.routingKey) \(event ?? "")") }
            return .confirmed
        })
        let notifier = Notifier(
            publisher: transport, exchange: "openstack", topic: "t", publisherID: "p", capacity: 2,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        notifier.emit(eventType: "a", priority: .info, payload: [:])
        notifier.emit(eventType: "b", priority: .error, payload: [:])
        notifier.emit(eventType: "c", priority: .info, payload: [:])
        notifier.finish()
        await notifier.run()
        #expect(published.withLock { $0 } == ["openstack t.info a", "openstack t.error b"])
        #expect(notifier.sent.count == 2)
        #expect(notifier.dropped.count == 1)
    }
}
