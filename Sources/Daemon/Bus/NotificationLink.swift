import AMQP
import Logging
import Metrics
import OsloMessaging
import Settings
import Synchronization

/// Notifications, on a connection of their own: a problem with them is never more than a warning, a counter and a line in
/// /readyz.
final class NotificationLink: Sendable {
    let notifier: Notifier
    private let connection: AMQPConnection
    private let declarations: [AMQPTopology]
    private let logger: Logger
    private let state = Mutex(State())
    private let drained = AsyncStream<Never>.makeStream()
    private let reconnects = ReconnectCounter(.notifications)
    private let problems = Counter(label: "pivotd_notification_problems_total")

    /// How long a stop waits for queued notifications.
    private static let drainTimeout = Duration.seconds(2)

    private struct State {
        var problem: String?
        /// Problems already logged.
        var warned: Set<String> = []
    }

    init(_ bus: PivotdConfiguration.Bus, topology: OsloTopology, publisherID: String, logger: Logger) throws {
        var logger = logger
        logger[metadataKey: "connection"] = "notifications"
        self.logger = logger
        connection = AMQPConnection(
            configuration: try bus.amqpConfiguration(name: "\(publisherID) (notifications)"), logger: logger)
        declarations = topology.notifications(
            topic: bus.notificationTopic, priorities: [.info, .error], maxLength: bus.notificationQueueMaxLength)
        notifier = Notifier(
            publisher: AMQPPublisher(connection), exchange: bus.exchange, topic: bus.notificationTopic, publisherID: publisherID,
            logger: logger)
    }

    /// What is currently wrong with notifications, for an operator; nil if nothing is.
    var problem: String? {
        if let problem = state.withLock({ $0.problem }) { return problem }
        if !connection.isConnected { return "not connected" }
        return notifier.dropped.count == 0 ? nil : "\(notifier.dropped.count) dropped since the start"
    }

    var isConnected: Bool { connection.isConnected }

    /// Sends until ``close()`` or cancellation.
    func run() async {
        await withTaskGroup { group in
            group.addTask { [connection, logger] in
                do { try await connection.run() } catch { logger.error("notifications: \(error)") }
            }
            group.addTask { [connection, reconnects] in
                for await event in connection.events {
                    guard case .connected = event else { continue }
                    reconnects.connected()
                    await self.declare()
                }
            }
            group.addTask { [notifier, drained] in
                await notifier.run()
                drained.continuation.finish()
            }
            await group.waitForAll()
        }
    }

    /// Sends what is queued, as far as that works at once, and ends ``run()``.
    func close() async {
        notifier.finish()
        await withTaskGroup { group in
            group.addTask { [drained] in for await _ in drained.stream {} }
            group.addTask { try? await Task.sleep(for: Self.drainTimeout) }
            await group.next()
            group.cancelAll()
        }
        await connection.close()
    }

    /// Declares exchange, queues and bindings; a refusal affects nothing else, and notifications are still sent.
    private func declare() async {
        var refused: [String] = []
        for part in declarations {
            do {
                try await connection.declare(part, isKept: false)
            } catch  where error.code == .channelClosed {
                refused.append(error.message)
            } catch { return }
        }
        let problem = refused.isEmpty ? nil : refused.joined(separator: "; ")
        let new = state.withLock { state in
            state.problem = problem
            return refused.filter { state.warned.insert($0).inserted }
        }
        problems.increment(by: refused.count)
        guard !new.isEmpty else { return }
        logger.warning(
            "notifications may be lost: RabbitMQ refused a declaration for them",
            metadata: ["reason": "\(new.joined(separator: "; "))"])
    }
}
