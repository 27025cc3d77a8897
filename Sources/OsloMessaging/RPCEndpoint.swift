package import JSON

/// What an endpoint decides about a request.
package enum RPCDisposition: Sendable {
    /// The outcome: the server sends the final reply if the request is a call, then acknowledges.
    case reply(Result<JSONValue, RemoteFailure>)
    /// The request is safe in the endpoint's journal: the server acknowledges now, the endpoint answers later.
    case stored
    /// The journal cannot be written: the server neither acknowledges nor replies, gives the message back and stops consuming.
    case notStored(reason: String)
}

/// Carries out the methods of an ``RPCServer``.
package protocol RPCEndpoint: Sendable {
    /// Takes a request, in the order of arrival; must not block.
    ///
    /// - Returns: the work to be done, run side by side with that of other requests.
    func receive(_ request: RPCRequest) -> @Sendable () async -> RPCDisposition
}
