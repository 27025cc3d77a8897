import Basics
import Foundation
package import JSON
package import Logging

/// How urgent a notification is; decides its routing key.
package enum NotificationPriority: String, Sendable, Hashable, CaseIterable {
    case info = "INFO"
    case warn = "WARN"
    case error = "ERROR"

    /// The part of the routing key after the topic.
    package var routingKeySuffix: String { rawValue.lowercased() }
}

/// Emits notifications in oslo.messaging's format 2.0 (driver `messagingv2`).
///
/// Mirrors `_notify` in `oslo_messaging/notify/notifier.py`. Emitting never waits or fails: a bounded number of notifications
/// waits for the broker; beyond that, new ones are dropped and counted.
package final class Notifier: Sendable {
    /// Lost connections after which a notification is dropped.
    private static let maxLosses = 5

    private struct Pending: Sendable {
        let body: [UInt8]
        let routingKey: String
        let eventType: String
    }

    private let publisher: any MessagePublisher
    private let exchange: String
    private let topic: String
    private let publisherID: String
    private let capacity: Int
    private let logger: Logger
    private let pending: (stream: AsyncStream<Pending>, continuation: AsyncStream<Pending>.Continuation)
    /// Notifications the broker confirmed.
    package let sent = EventCounter("pivotd_notifications_total", kind: "sent")
    /// Notifications dropped because too many waited or the broker did not accept them.
    package let dropped = EventCounter("pivotd_notifications_total", kind: "dropped")

    /// - Parameters:
    ///   - publisher: Run by its owner.
    ///   - exchange: The topic exchange.
    ///   - topic: First part of the routing key.
    ///   - publisherID: `publisher_id` of each notification, `SERVICE:HOST`.
    ///   - capacity: Maximum notifications waiting for the broker.
    package init(
        publisher: any MessagePublisher, exchange: String, topic: String, publisherID: String, capacity: Int = 1024,
        logger: Logger
    ) {
        self.publisher = publisher
        self.exchange = exchange
        self.topic = topic
        self.publisherID = publisherID
        self.capacity = capacity
        self.logger = logger
        pending = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(capacity))
    }

    /// Queues a notification, with the secrets in payload and context masked.
    ///
    /// - Parameter context: The request context it belongs to, without the `_context_` prefix.
    package func emit(eventType: String, priority: NotificationPriority, payload: JSONValue, context: JSONObject = [:]) {
        let inner = Self.message(
            eventType: eventType, priority: priority, publisherID: publisherID, payload: payload, context: context)
        let result = pending.continuation.yield(
            Pending(
                body: MessageEnvelope.wrap(inner), routingKey: "\(topic).\(priority.routingKeySuffix)",
                eventType: eventType))
        if case .enqueued = result { return }
        drop(eventType, "\(capacity) notifications are already waiting for the broker")
    }

    /// Publishes what was emitted, in order, until cancelled, or finished and drained.
    package func run() async {
        for await notification in pending.stream {
            await publish(notification)
        }
    }

    /// Accepts no more notifications; ``run()`` returns once the queued ones are published.
    package func finish() {
        pending.continuation.finish()
    }

    private func publish(_ notification: Pending) async {
        var losses = 0
        while true {
            do {
                _ = try await publisher.publish(
                    notification.body, exchange: exchange, routingKey: notification.routingKey, mandatory: false)
                sent.increment()
                return
            } catch {
                if [.lost, .suspected].contains(error.code) { losses += 1 }
                // The broker may be closing the connection because of it.
                guard error.isRetriable, losses < Self.maxLosses else { return drop(notification.eventType, error.message) }
                do {
                    try await Task.sleep(for: .milliseconds(250))
                    try await publisher.waitUntilPublishable()
                } catch {
                    return drop(notification.eventType, "the broker went away")
                }
            }
        }
    }

    private func drop(_ eventType: String, _ reason: String) {
        let dropped = dropped.increment()
        let level: Logger.Level = dropped == 1 || dropped.isMultiple(of: 1000) ? .warning : .debug
        logger.log(
            level: level, "notification dropped",
            metadata: ["event_type": "\(eventType)", "reason": "\(reason)", "dropped": "\(dropped)"])
    }

    static func message(
        eventType: String, priority: NotificationPriority, publisherID: String, payload: JSONValue, context: JSONObject,
        now: Date = Date()
    ) -> JSONObject {
        var inner: JSONObject = [
            "message_id": .string(UUID().uuidString.lowercased()), "publisher_id": .string(publisherID),
            "event_type": .string(eventType), "priority": .string(priority.rawValue), "payload": payload.redacted(),
            "timestamp": .string(Timestamp.text(now, .python)), "_unique_id": .string(UniqueID.random()),
        ]
        if case .object(let context) = JSONValue.object(context).redacted() {
            for (key, value) in context { inner[RPCRequest.contextPrefix + key] = value }
        }
        return inner
    }
}
