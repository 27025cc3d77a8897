import AMQP
import Basics
import Synchronization

/// Follows a tap's connection: what is sent while it is lost is missing from the recording.
final class CaptureGaps: Sendable {
    private enum State {
        case connecting
        case recording
        case away(since: ContinuousClock.Instant, AMQPError)
    }

    private let state = Mutex(State.connecting)
    private let tell: @Sendable (String) -> Void

    /// - Parameter tell: Called when the connection is lost, and when it is restored.
    init(_ tell: @escaping @Sendable (String) -> Void) { self.tell = tell }

    /// Why the broker cannot be reached; nil if it can.
    var reason: String? {
        state.withLock { if case .away(_, let error) = $0 { "\(error)" } else { nil } }
    }

    func follow(_ events: AsyncStream<AMQPConnectionEvent>) async {
        for await event in events {
            if let text = note(event) { tell(text) }
        }
    }

    private func note(_ event: AMQPConnectionEvent) -> String? {
        state.withLock { state in
            switch (event, state) {
            case (.connected, .away(let start, _)):
                state = .recording
                let gap = Quantity.duration(start.duration(to: .now) / .seconds(1))
                return "recording again; anything sent in at least the last \(gap) is missing"
            case (.connected, _):
                state = .recording
                return nil
            case (.disconnected(let error, _), .recording) where error.code != .connectionClosed || error.isRetriable:
                state = .away(since: .now, error)
                return "the connection to the broker was lost, reconnecting: \(error)"
            case (.disconnected(let error, _), .away(let start, _)) where error.code != .connectionClosed || error.isRetriable:
                state = .away(since: start, error)
                return error.isRetriable ? nil : "\(error)"
            case (.consumerCancelled, .recording):
                return "the broker deleted the recording's queue; a few messages may be missing"
            default: return nil
            }
        }
    }
}
