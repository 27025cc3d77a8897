package import JSON

/// An endpoint's decision about a request.
package enum RPCDisposition: Sendable {
    /// The outcome: the server sends the final reply if the request is a call, then acknowledges. Its `_unique_id` is derived from the
    /// request unless there is one already.
    case reply(Result<JSONValue, RemoteFailure>, uniqueID: String? = nil)
    /// The request is safe in the endpoint's journal: the server acknowledges now, the endpoint answers later. Until then the
    /// caller gets its heartbeats.
    case stored
    /// A duplicate of a stored request: the server acknowledges.
    case known
    /// The journal cannot be written: the server neither acknowledges nor replies, and keeps or requeues the message.
    case notStored(reason: String)
}

/// Carries out the methods of an ``RPCServer``.
package protocol RPCEndpoint: Sendable {
    /// A request's place in the order of arrival.
    associatedtype Turn: Sendable

    /// Takes a request, in order of arrival; must not block.
    func take(_ request: RPCRequest) -> Turn

    /// Carries out a request, concurrently with others.
    func carryOut(_ turn: Turn) async -> RPCDisposition
}
