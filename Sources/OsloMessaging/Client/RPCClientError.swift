import Basics

/// Why a call got no answer.
package enum RPCClientError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The broker has no queue for the request.
    case unroutable(target: String)
    /// No final reply within the call's time, in seconds.
    case timedOut(seconds: Double)
    /// No heartbeat within the call monitor's time, in seconds: the server is gone.
    case silent(seconds: Double)
    /// The connection was lost before the broker had the request.
    case transport(TransportError)
    /// The client was closed.
    case closed

    package var description: String {
        switch self {
        case .unroutable(let target): "no pivotd listens on \(target)"
        case .timedOut(let seconds): "no reply within \(Quantity.number(seconds)) s"
        case .silent(let seconds): "the server has sent no heartbeat for \(Quantity.number(seconds)) s"
        case .transport(let error): error.message
        case .closed: "the connection to the broker was closed"
        }
    }
}
