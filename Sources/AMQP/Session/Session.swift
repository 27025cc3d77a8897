internal import CRabbitMQ
internal import Glibc

/// One librabbitmq connection, used only by the IO thread from opening to end.
@safe
final class Session {
    /// Separate channels, so that a channel exception on one does not end the others' work.
    enum Channel {
        static let consume: UInt16 = 1
        static let publish: UInt16 = 2
        static let topology: UInt16 = 3
        /// This and those after it are opened when there is something to ask; see ``Session/ask(about:on:)``.
        static let questions: UInt16 = 4
    }

    let state: amqp_connection_state_t
    let pool = Pool()
    let endpoint: AMQPEndpoint
    /// Nil without TLS.
    private let verification: PeerVerification?
    /// As negotiated; zero if the broker wants no heartbeats.
    private(set) var heartbeat = Duration.zero
    private(set) var frameMax = 0

    /// Opens the socket and logs in.
    ///
    /// - Throws: ``AMQPError`` `connectFailed`, `authenticationFailed`, `tls` or `overflow`.
    init(endpoint: AMQPEndpoint, configuration: AMQPConfiguration) throws(AMQPError) {
        guard let state = unsafe amqp_new_connection() else {
            throw AMQPError(code: .overflow, message: "out of memory")
        }
        unsafe self.state = state
        self.endpoint = endpoint
        verification = configuration.tls.map { PeerVerification($0, host: endpoint.host) }
        try openSocket(configuration)
        try login(configuration)
    }

    deinit { unsafe _ = amqp_destroy_connection(state) }

    var descriptor: Int32 { unsafe amqp_get_sockfd(state) }
    /// Whether librabbitmq holds frames that it read while it waited for the answer to a method.
    var hasQueuedFrames: Bool { unsafe amqp_frames_enqueued(state) != 0 }
    /// Whether librabbitmq holds input already read from the socket, which poll does not report.
    var hasBufferedInput: Bool { unsafe hasQueuedFrames || amqp_data_in_buffer(state) != 0 }

    private func openSocket(_ configuration: AMQPConfiguration) throws(AMQPError) {
        let socket: OpaquePointer?
        if let tls = configuration.tls, let verification {
            unsafe socket = try tlsSocket(tls, verification)
        } else {
            unsafe socket = amqp_tcp_socket_new(state)
        }
        guard let socket = unsafe socket else { throw AMQPError(code: .overflow, message: "out of memory") }
        var timeout = timeval(configuration.connectTimeout)
        let status = unsafe amqp_socket_open_noblock(socket, endpoint.host, Int32(clamping: endpoint.port), &timeout)
        guard status == AMQP_STATUS_OK.rawValue else {
            let isTLS = (-0x2ff ... -0x200).contains(status)  // AMQP_STATUS_SSL_ERROR and the codes after it
            let isRefused = status == AMQP_STATUS_SOCKET_ERROR.rawValue
            if isTLS, let verification {
                throw AMQPError(code: .tls, message: verification.reason ?? Self.text(status), isRetriable: true)
            }
            let text = isRefused ? "connection refused or host unreachable" : Self.text(status)
            throw AMQPError(code: .connectFailed, message: text, isRetriable: true)
        }
    }

    private func login(_ configuration: AMQPConfiguration) throws(AMQPError) {
        var handshake = timeval(configuration.connectTimeout)
        unsafe _ = amqp_set_handshake_timeout(state, &handshake)
        setTimeout(configuration.rpcTimeout)
        var properties = unsafe try pool.table(Self.clientProperties(name: configuration.connectionName))
        defer { pool.recycle() }
        let seconds = Int32(clamping: max(0, configuration.heartbeat.components.seconds))
        let reply = unsafe crabbitmq_login_plain(
            state, configuration.virtualHost, 0, AMQP_DEFAULT_FRAME_SIZE, seconds, &properties,
            endpoint.credentials.username, endpoint.credentials.password)
        do {
            unsafe try check(reply)
        } catch {
            switch error.replyCode {
            case 403: throw AMQPError(code: .authenticationFailed, message: error.message, replyCode: 403)
            case 530:
                let text = "virtual host '\(configuration.virtualHost)': \(error.message)"
                throw AMQPError(code: .authenticationFailed, message: text, replyCode: 530)
            default:
                // In TLS 1.3 the broker only reports what is missing once the handshake is over.
                if let reason = verification.flatMap({ $0.reason ?? $0.likelyReason(of: error) }) {
                    throw AMQPError(code: .tls, message: reason, isRetriable: true)
                }
                let isStrange = verification == nil && error.replyCode == nil && error.code != .timedOut
                let hint = isStrange ? "; is this a TLS port? (rabbits://, ssl)" : ""
                throw AMQPError(code: .connectFailed, message: error.message + hint, replyCode: error.replyCode)
            }
        }
        heartbeat = .seconds(Int(unsafe amqp_get_heartbeat(state)))
        frameMax = Int(unsafe amqp_get_frame_max(state))
        unsafe amqp_maybe_release_buffers(state)
    }

    private static func clientProperties(name: String) -> [String: AMQPValue] {
        [
            "product": "pivotd", "platform": "Swift, librabbitmq", "connection_name": .string(name),
            "capabilities": .table([
                "publisher_confirms": true, "consumer_cancel_notify": true, "basic.nack": true, "connection.blocked": true,
                "authentication_failure_close": true, "exchange_exchange_bindings": true,
            ]),
        ]
    }

    func setTimeout(_ duration: Duration) {
        var timeout = timeval(duration)
        unsafe _ = amqp_set_rpc_timeout(state, &timeout)
    }

    /// - Throws: The error that a synchronous method ended with, if any.
    func check(_ reply: amqp_rpc_reply_t) throws(AMQPError) {
        switch unsafe reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_SERVER_EXCEPTION: throw unsafe closeError(reply.reply)
        default: throw unsafe Self.libraryError(reply.library_error)
        }
    }

    /// - Throws: The error that the last synchronous method ended with, if any.
    func checkLastReply() throws(AMQPError) { unsafe try check(amqp_get_rpc_reply(state)) }

    func check(status: Int32) throws(AMQPError) {
        guard status == AMQP_STATUS_OK.rawValue else { throw Self.libraryError(status) }
    }

    /// The error in the broker's channel.close or connection.close.
    func closeError(_ method: amqp_method_t) -> AMQPError {
        guard let decoded = unsafe method.decoded else {
            return AMQPError(code: .protocolViolation, message: "a close without content", isRetriable: true)
        }
        switch unsafe method.id {
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = unsafe decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            return unsafe .channelClose(Int(close.reply_code), String(close.reply_text))
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = unsafe decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            return unsafe AMQPError(
                code: .connectionClosed, message: String(close.reply_text), replyCode: Int(close.reply_code))
        default:
            return unsafe AMQPError(code: .protocolViolation, message: "unexpected method \(method.id)", isRetriable: true)
        }
    }

    static func libraryError(_ status: Int32) -> AMQPError {
        let code: AMQPError.Code =
            switch status {
            case AMQP_STATUS_TIMEOUT.rawValue: .timedOut
            case AMQP_STATUS_BAD_AMQP_DATA.rawValue, AMQP_STATUS_UNKNOWN_CLASS.rawValue, AMQP_STATUS_UNKNOWN_METHOD.rawValue:
                .protocolViolation
            default: .connectionClosed
            }
        return AMQPError(code: code, message: text(status), isRetriable: true)
    }

    static func text(_ status: Int32) -> String {
        unsafe amqp_error_string2(status).map { unsafe String(cString: $0) } ?? "librabbitmq status \(status)"
    }
}

extension timeval {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(max(0, seconds)), tv_usec: Int(max(0, attoseconds / 1_000_000_000_000)))
    }
}
