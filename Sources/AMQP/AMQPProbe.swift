internal import Basics
internal import Foundation

/// Asks one broker address what this user may do there, without declaring, consuming or sending anything.
package struct AMQPProbe: Sendable {
    /// The address to ask.
    package let endpoint: AMQPEndpoint
    let configuration: AMQPConfiguration

    /// - Parameter configuration: Its own endpoints are ignored.
    package init(_ endpoint: AMQPEndpoint, configuration: AMQPConfiguration) {
        self.endpoint = endpoint
        self.configuration = configuration
    }

    /// Connects, asks, and closes the connection.
    ///
    /// - Parameter limit: For everything together, since name resolution has no time limit of its own.
    /// - Returns: One answer per question, in order: `no` with `timedOut` to all about a queue that the broker gives none about,
    ///   and if it blocks publishers, from the first publish on.
    /// - Throws: ``AMQPError``: why there is no connection or it was lost; `timedOut` once `limit` has passed.
    package func ask(_ questions: [AMQPQuestion] = [], within limit: Duration) async throws(AMQPError) -> [AMQPAnswer] {
        try configuration.validate()
        let reply = Reply<[AMQPAnswer]>()
        let thread = Thread { reply.resume(Result { () throws(AMQPError) in try answers(to: questions) }) }
        thread.name = "amqp-probe"
        // librabbitmq decodes nested tables by recursion, as deep as a header frame allows.
        thread.stackSize = 32 << 20
        thread.start()
        DispatchQueue.global().asyncAfter(deadline: .now() + limit / .seconds(1)) {
            reply.resume(.failure(Self.silence(limit)))
        }
        return try await reply.value().get()
    }

    private func answers(to questions: [AMQPQuestion]) throws(AMQPError) -> [AMQPAnswer] {
        var session = try connect()
        defer { session.closeConnection() }
        guard !questions.isEmpty else { return [] }
        try session.openChannels()
        var answers: [AMQPAnswer] = []
        // By queue.
        var silences: [String: AMQPError] = [:]
        for question in questions {
            if let silence = question.queue.flatMap({ silences[$0] }) {
                answers.append(.no(silence))
                continue
            }
            do throws(AMQPError) {
                answers.append(try session.answer(question))
            } catch {
                guard error.code == .timedOut else { throw error }
                guard let queue = question.queue else {
                    guard let reason = try? session.blockReason() else { throw error }
                    // The broker no longer reads from this connection.
                    let blocked = AMQPError(code: .timedOut, message: "RabbitMQ blocks publishers: \(reason)")
                    return answers + Array(repeating: .no(blocked), count: questions.count - answers.count)
                }
                let silence = Self.silence(configuration.rpcTimeout)
                silences[queue] = silence
                answers.append(.no(silence))
                // The channel waits for the answer; if the whole broker is frozen, this fails.
                session = try connect()
                try session.openChannels()
            }
        }
        return answers
    }

    private func connect() throws(AMQPError) -> Session {
        let began = ContinuousClock.now
        do throws(AMQPError) {
            return try Session(endpoint: endpoint, configuration: configuration)
        } catch {
            let isSilent = error.replyCode == nil && .now - began >= configuration.connectTimeout
            throw isSilent ? Self.silence(configuration.connectTimeout) : error
        }
    }

    private static func silence(_ limit: Duration) -> AMQPError {
        AMQPError(code: .timedOut, message: "no answer within \(limit.components.seconds) s")
    }
}
