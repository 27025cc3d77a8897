import AMQP
import Basics
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
    /// How long a queue is left alone that RabbitMQ gave no answer about: each time costs the connection.
    private static let silencePause = Duration.seconds(300)

    private struct State {
        var problem: String?
        /// Problems already logged.
        var warned: Set<String> = []
        /// Queues that RabbitMQ gave no answer about, which are not declared for a while.
        var silent: [String: (error: AMQPError, until: ContinuousClock.Instant)] = [:]
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
            let connects = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            group.addTask { [connection, reconnects] in
                defer { connects.continuation.finish() }
                for await event in connection.events {
                    guard case .connected = event else { continue }
                    reconnects.connected()
                    connects.continuation.yield()
                }
            }
            group.addTask { for await _ in connects.stream { await self.untilDeclared() } }
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

    /// Declares again from time to time what was refused: an operator may have mended the cause.
    private func untilDeclared() async {
        var backoff = Backoff(first: .seconds(5), longest: .seconds(300))
        while await !declare() {
            guard (try? await Task.sleep(for: backoff.pause())) != nil else { return }
        }
    }

    /// Declares everything. Once something exists with other settings, nothing new is made with these: its owners would be refused.
    ///
    /// - Returns: why the broker refused something.
    /// - Throws: ``AMQPError`` if the connection is lost.
    private func refusals() async throws(AMQPError) -> [String] {
        var (refused, missing, hasMismatch) = ([String](), [AMQPTopology](), false)
        func note(_ error: AMQPError) {
            hasMismatch = hasMismatch || error.isMismatch
            refused.append(error.message)
        }
        for part in declarations where part.bindings.isEmpty {
            if try await !exists(part) {
                missing.append(part)
            } else if let error = try await refusal(of: part) {
                note(error)
            }
        }
        for part in missing where !hasMismatch {
            if let error = try await refusal(of: part) { note(error) }
        }
        for part in declarations where !part.bindings.isEmpty {
            // What was not made cannot be bound.
            if let error = try await refusal(of: part), !(hasMismatch && error.replyCode == 404) { note(error) }
        }
        return refused
    }

    /// Whether all its queues exist. Unknown counts as yes, since the declaration will tell.
    private func exists(_ part: AMQPTopology) async throws(AMQPError) -> Bool {
        var question = part
        for index in question.queues.indices { question.queues[index].passive = true }
        guard !part.queues.isEmpty, let error = try await refusal(of: question) else { return true }
        return error.replyCode != 404 || error.isHomeNodeDown
    }

    /// - Throws: ``AMQPError`` if the connection is lost, as it is when RabbitMQ does not answer: RabbitMQ 4 waits about a minute for
    ///   the cluster node that a queue lives on.
    private func refusal(of part: AMQPTopology) async throws(AMQPError) -> AMQPError? {
        let queue = part.queues.first?.name ?? part.bindings.first?.queue
        if let silent = queue.flatMap({ queue in state.withLock { $0.silent[queue] } }), silent.until > .now {
            return silent.error
        }
        do throws(AMQPError) {
            try await connection.declare(part, isKept: false)
            return nil
        } catch {
            if error.code == .timedOut, let queue {
                state.withLock { $0.silent[queue] = (error, .now + Self.silencePause) }
            }
            guard error.code == .channelClosed else { throw error }
            return error
        }
    }

    /// Declares exchange, queues and bindings; a refusal affects nothing else, and notifications are still sent.
    ///
    /// - Returns: false if the broker refused something.
    private func declare() async -> Bool {
        let refused: [String]
        do throws(AMQPError) {
            refused = try await refusals()
        } catch { return true }  // the connection is lost, and the next one declares
        let problem = refused.isEmpty ? nil : refused.joined(separator: "; ")
        let new = state.withLock { state in
            state.problem = problem
            return refused.filter { state.warned.insert($0).inserted }
        }
        problems.increment(by: refused.count)
        guard !new.isEmpty else { return refused.isEmpty }
        logger.warning(
            "notifications may be lost: RabbitMQ refused a declaration for them",
            metadata: ["reason": "\(new.joined(separator: "; "))"])
        return false
    }
}
