/// A failure of the AMQP layer: local (socket, TLS, time-out) or reported by the broker (with its reply code).
package struct AMQPError: Error, Sendable, CustomStringConvertible {
    /// What failed; compare with the static members.
    package struct Code: Sendable, Hashable, CustomStringConvertible {
        package let description: String

        /// TCP connection or AMQP handshake failed.
        package static let connectFailed = Code(description: "connect failed")
        /// The broker refused the user name, the password or the virtual host.
        package static let authenticationFailed = Code(description: "authentication failed")
        /// TLS set-up or verification failed.
        package static let tls = Code(description: "TLS failed")
        /// The connection ended: by the broker, by the network, or by a missed heartbeat.
        package static let connectionClosed = Code(description: "connection closed")
        /// The broker closed the channel (AMQP channel exception).
        package static let channelClosed = Code(description: "channel closed")
        /// No answer within the time limit.
        package static let timedOut = Code(description: "timed out")
        /// The broker answered a publish with basic.nack.
        package static let nacked = Code(description: "nacked")
        /// There is currently no connection.
        package static let notConnected = Code(description: "not connected")
        /// The caller's arguments cannot be sent.
        package static let invalidArgument = Code(description: "invalid argument")
        /// Too many publishes are in flight.
        package static let overflow = Code(description: "overflow")
        /// The broker sent something that AMQP does not allow at this point.
        package static let protocolViolation = Code(description: "protocol violation")
    }

    /// What failed.
    package let code: Code
    /// One line for an operator: the broker's own message, never a password.
    package let message: String
    /// The AMQP reply code (for example 404 NOT_FOUND or 406 PRECONDITION_FAILED) if the broker sent one.
    package let replyCode: Int?
    /// Whether the same call may succeed later with the same arguments.
    package let isRetriable: Bool

    /// - Parameter isRetriable: nil derives it from the code.
    package init(code: Code, message: String, replyCode: Int? = nil, isRetriable: Bool? = nil) {
        self.code = code
        self.message = message
        self.replyCode = replyCode
        self.isRetriable = isRetriable ?? Self.retriableCodes.contains(code)
    }

    package var description: String {
        replyCode.map { "\(code) (\($0)): \(message)" } ?? "\(code): \(message)"
    }

    private static let retriableCodes: Set<Code> = [
        .connectFailed, .connectionClosed, .channelClosed, .timedOut, .nacked, .notConnected, .overflow,
    ]

    /// The same error with `subject` in front of its message.
    func prefixed(_ subject: String) -> AMQPError {
        AMQPError(code: code, message: "\(subject): \(message)", replyCode: replyCode, isRetriable: isRetriable)
    }

    /// Whether this channel.close was caused by a publish like this one, judged by the messages of RabbitMQ's `rabbit_channel`:
    /// "no exchange 'E' in vhost 'V'", "access to exchange 'E' in vhost …" (amq.default for the default exchange), and "message
    /// size N is larger than …".
    func isAboutPublish(to exchange: String, bodySize: Int) -> Bool {
        message.contains("exchange '\(exchange.isEmpty ? "amq.default" : exchange)' ")
            || message.contains("message size \(bodySize) ")
    }

    /// Whether a classic queue is unreachable because the cluster node it lives on is down or going down. RabbitMQ 4 waits about a
    /// minute for that node before it says so: "failed to perform operation on queue 'Q' in vhost 'V' due to timeout".
    package var isHomeNodeDown: Bool {
        code == .channelClosed && replyCode == 404
            && (["home node", "process is stopped by supervisor"].contains { message.contains($0) }
                || message.contains("failed to perform operation on queue") && message.contains("due to timeout"))
    }

    /// Whether something exists with other settings than it was declared with (PRECONDITION_FAILED).
    package var isMismatch: Bool { code == .channelClosed && replyCode == 406 }

    /// Whether something crashed in the broker (INTERNAL_ERROR).
    var isInternal: Bool { replyCode == 541 }

    /// What an operator can do about something that exists with other settings.
    package static let mismatchAdvice =
        "set amqp_durable_queues, amqp_auto_delete, rabbit_quorum_queue and the other rabbit_ options like the services that "
        + "declared it, or delete it"

    /// What an operator can do about a channel.close.
    var advice: String {
        switch replyCode {
        case 403: "grant the permission, or end the exclusive consumer"
        case 404 where isHomeNodeDown: "the queue's home node is down"
        case 404: "it does not exist"
        case 405: "another connection holds it exclusively"
        case 406 where message.contains("delivery acknowledgement"): "the broker's consumer_timeout has passed"
        case 406: "it exists with other settings: \(Self.mismatchAdvice)"
        default: "see the broker's log"
        }
    }

    /// The error for a channel.close from the broker.
    static func channelClose(_ code: Int, _ text: String) -> AMQPError {
        AMQPError(code: .channelClosed, message: text, replyCode: code, isRetriable: ![403, 404, 406].contains(code))
    }

    static func silent(_ limit: Duration) -> AMQPError {
        AMQPError(code: .connectionClosed, message: "the broker has been silent for \(limit.components.seconds) s")
    }
    static let closedByUs = AMQPError(code: .connectionClosed, message: "the connection was closed", isRetriable: false)
    /// The error for what was never sent before the connection ended: retrying it cannot create a duplicate.
    static func unsent(_ error: AMQPError) -> AMQPError { AMQPError(code: .notConnected, message: error.message) }
    static let noConnection = AMQPError(code: .notConnected, message: "there is no connection to the broker")
}
