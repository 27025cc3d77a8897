/// The delivery of one final reply: what has happened so far, and what to do next.
struct ReplyDelivery {
    enum Step {
        case done(ReplyOutcome)
        /// Wait for the retry interval, and for the broker if `afterReconnect`, then publish again.
        case again(afterReconnect: Bool)
        /// A shorter reply has replaced it: publish that.
        case shortened
    }

    private(set) var reply: RPCReply
    private(set) var body: [UInt8]
    private(set) var strikes = ReplyStrikes()
    /// When the broker was first found to have no queue for it.
    var missingSince: ContinuousClock.Instant?

    init(_ reply: RPCReply) {
        self.reply = reply
        body = reply.encoded()
    }

    /// Decides what to do after a failed attempt.
    mutating func failed(_ error: TransportError, alone: Bool, failures: NovaFailure) -> Step {
        strikes.add(error.code, alone: alone)
        switch error.code {
        case .tooLarge:
            guard let shorter = reply.shortened(failures: failures) else { return gaveUp(error.message) }
            reply = shorter
            body = shorter.encoded()
            return .shortened
        case .forbidden, .invalid: return gaveUp(error.message)
        case _ where strikes.isOut: return gaveUp("the broker closes the connection each time it is sent: \(error.message)")
        case _ where !error.isRetriable: return .done(.interrupted)
        default:
            // After a loss of the broker the caller needs time to declare its queue again.
            if missingSince != nil { missingSince = .now }
            return .again(afterReconnect: true)
        }
    }

    private func gaveUp(_ reason: String) -> Step { .done(.gaveUp(reason: reason)) }
}
