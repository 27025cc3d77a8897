package import AMQP

/// The sending half of a transport, over one connection to RabbitMQ.
package struct AMQPPublisher: MessagePublisher {
    private let connection: AMQPConnection

    /// - Parameter connection: Run by its owner.
    package init(_ connection: AMQPConnection) { self.connection = connection }

    package func publish(
        _ body: [UInt8], properties: MessageProperties, exchange: String, routingKey: String, mandatory: Bool
    ) async throws(TransportError) -> PublishOutcome {
        do {
            let message = AMQPMessage(body: body, properties: AMQPProperties(properties))
            switch try await connection.publish(message, exchange: exchange, routingKey: routingKey, mandatory: mandatory) {
            case .confirmed: return .confirmed
            case .returned: return .returned
            }
        } catch {
            throw TransportError(error)
        }
    }

    package func waitUntilPublishable() async throws(TransportError) {
        do {
            try await connection.waitUntilConnected()
        } catch let error as AMQPError {
            throw TransportError(error)
        } catch {
            throw TransportError(code: .cancelled, message: "cancelled", isRetriable: false)
        }
    }
}

extension TransportError {
    fileprivate init(_ error: AMQPError) {
        self.init(code: Self.code(error), message: error.description, isRetriable: error.isRetriable)
    }

    private static func code(_ error: AMQPError) -> Code {
        switch (error.code, error.replyCode) {
        case (.invalidArgument, _): .invalid
        case (.channelClosed, 403) where !error.isRetriable: .forbidden
        case (.channelClosed, 406) where !error.isRetriable: .tooLarge
        case (.channelClosed, _) where error.isRetriable: .suspected
        case (.nacked, _), (.overflow, _), (.channelClosed, _): .refused
        case (.connectionClosed, _) where !error.isRetriable: .closed
        // 320 is CONNECTION_FORCED: an operator, or the broker's shutdown.
        case (.connectionClosed, let replyCode?) where replyCode != 320: .suspected
        case (.connectionClosed, _): .lost
        default: .disconnected
        }
    }
}
