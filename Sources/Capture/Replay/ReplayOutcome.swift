package import OsloMessaging

/// A message on its way to be replayed.
package struct ReplayMessage: Sendable {
    /// Its place among the replayed ones, from 1.
    package let number: Int
    package let location: CaptureLocation
    /// The message to send, with names mapped and ids renewed.
    package let line: CaptureLine
    /// Its content.
    package let content: CapturedMessage
    /// The `_msg_id` in the recording, by which the recorded reply is found; nil for a cast.
    package let recordedMessageID: String?

    /// Its place in the replay.
    package var place: ReplayPlace { ReplayPlace(number: number, location: location) }
}

/// Which message it was.
package struct ReplayPlace: Sendable, Hashable {
    package let number: Int
    package let location: CaptureLocation
}

/// What became of a replayed message.
package enum ReplayOutcome: Sendable {
    /// The final answer, read and as it came.
    case reply(RPCReply.Content, body: [UInt8])
    /// Acknowledged without a reply: a cast.
    case accepted
    /// The same message as one shortly before.
    case duplicate
    /// Not a request: rejected, for the dead-letter exchange.
    case rejected(reason: String)
    /// Undeliverable, requeued, or never answered.
    case lost(reason: String)

    /// One word and what is to be said of it.
    package var summary: String {
        switch self {
        case .reply(.failure(let failure), _): "\(failure.className): \(failure.message)"
        case .reply: "ok"
        case .accepted: "accepted"
        case .duplicate: "duplicate"
        case .rejected(let reason): "rejected: \(reason)"
        case .lost(let reason): "lost: \(reason)"
        }
    }
}

/// Where messages are replayed to.
package protocol ReplayTarget: Sendable {
    /// Hands a message over; returns when it has been taken, in which order messages are replayed.
    ///
    /// - Parameter completion: called once, when its outcome is known.
    func send(_ message: ReplayMessage, completion: @escaping @Sendable (ReplayOutcome) -> Void) async

    /// Lets the target finish what it was handed; no outcome may be missing afterwards.
    func finish() async
}
