/// One final reply on its way to its caller: what has happened to it so far, and what comes next.
struct ReplyDelivery {
    enum Step {
        case done(ReplyOutcome)
        /// Wait for the retry interval and publish again; the broker has to be waited for first, too.
        case again(afterReconnect: Bool)
        /// The reply in fewer bytes has taken its place: publish that.
        case shortened
    }

    private(set) var reply: RPCReply
    private(set) var body: [UInt8]
    private(set) var strikes = ReplyStrikes()
    /// Since when the broker has had no queue for it.
    var missingSince: ContinuousClock.Instant?

    init(_ reply: RPCReply) {
        self.reply = reply
        body = reply.encoded()
    }

    /// What follows from an attempt that failed.
    mutating func failed(_ error: TransportError, alone: Bool, failures: NovaFailure) -> Step {
        strikes.add(error.code, alone: alone)
        switch error.code {
        case .tooLarge:
            guard let shorter = reply.shortened(failures: failures) else { return gaveUp(error.message) }
            reply = shorter
            body = shorter.encoded()
            return .shortened
        case .forbidden, .invalid: return gaveUp(error.message)
        case _ where strikes.isOut: return gaveUp("the broker ends the connection whenever it comes: \(error.message)")
        case _ where !error.isRetriable: return .done(.interrupted)
        default:
            // After a loss of the broker the caller needs time to declare its queue again.
            if missingSince != nil { missingSince = .now }
            return .again(afterReconnect: true)
        }
    }

    private func gaveUp(_ reason: String) -> Step { .done(.gaveUp(reason: reason)) }
}
