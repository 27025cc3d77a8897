import JSON
package import OsloMessaging

/// A message to be replayed.
package struct ReplayMessage: Sendable {
    /// Its position among the replayed messages, from 1.
    package let number: Int
    package let location: CaptureLocation
    /// The message to send, with names mapped and ids renewed.
    package let line: CaptureLine
    /// Its content.
    package let content: CapturedMessage
    /// The `_msg_id` in the recording, used to find the recorded reply; nil for a cast.
    package let recordedMessageID: String?

    /// Its position in the replay.
    package var place: ReplayPlace { ReplayPlace(number: number, location: location) }
}

/// Identifies a replayed message.
package struct ReplayPlace: Sendable, Hashable {
    package let number: Int
    package let location: CaptureLocation
}

/// What became of a replayed message.
package enum ReplayOutcome: Sendable {
    /// The final answer, decoded and raw.
    case reply(RPCReply.Content, body: [UInt8])
    /// Acknowledged without a reply: a cast.
    case accepted
    /// A duplicate of a recent message.
    case duplicate
    /// Not a request, so rejected to the dead-letter exchange.
    case rejected(reason: String)
    /// Undeliverable, requeued, or never answered.
    case lost(reason: String)

    /// One word, followed by a detail if there is one.
    package var summary: String {
        switch self {
        case .reply(.failure(let failure), _): "\(failure.className): \(failure.message)"
        case .reply(.result(let result), _) where result["acceptable"] == false:
            (["not acceptable"] + ["class", "message"].compactMap { result["failure"]?[$0]?.stringValue }).joined(separator: ": ")
        case .reply: "ok"
        case .accepted: "accepted"
        case .duplicate: "duplicate"
        case .rejected(let reason): "rejected: \(reason)"
        case .lost(let reason): "lost: \(reason)"
        }
    }
}

/// The destination of a replay.
package protocol ReplayTarget: Sendable {
    /// Sends a message; returns once it has been accepted, which keeps messages in order.
    ///
    /// - Parameter completion: Called once, when the outcome is known.
    func send(_ message: ReplayMessage, completion: @escaping @Sendable (ReplayOutcome) -> Void) async

    /// The sender waits for outcomes and sends nothing meanwhile, or goes on.
    func senderWaits(_ isWaiting: Bool)

    /// Finishes what was sent; every outcome must be known afterwards.
    func finish() async
}

extension ReplayTarget {
    package func senderWaits(_ isWaiting: Bool) {}
}
