import OsloMessaging

/// Recognises the answers to the most recently recorded calls.
struct RecordedAnswers {
    private static let capacity = 10_000

    private var asked = RecentTexts(capacity: capacity)
    private var unanswered = RecentTexts(capacity: capacity)
    /// Calls recorded.
    private(set) var calls = 0
    /// Final answers recorded.
    private(set) var count = 0

    /// Calls without a final answer so far.
    var missing: Int { unanswered.count }

    /// Remembers the id of the expected answer, if the message is a call.
    mutating func expect(_ line: CaptureLine) {
        guard case .request(let request) = CapturedMessage(line), let address = request.replyAddress else { return }
        asked.insert(address.messageID)
        unanswered.insert(address.messageID)
        calls += 1
    }

    /// Whether this message is an answer to a recorded call, or a heartbeat for one. All calls of a client may share a reply
    /// queue.
    mutating func takes(_ line: CaptureLine) -> Bool {
        guard case .reply(let reply) = CapturedMessage(line), asked.contains(reply.messageID) else { return false }
        if reply.isFinal {
            unanswered.remove(reply.messageID)
            count += 1
        }
        return true
    }
}
