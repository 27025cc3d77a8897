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

/// A set that forgets the older half of its members when it is full.
private struct RecentTexts {
    let capacity: Int
    private var members: Set<String> = []
    private var order: [String] = []

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { members.count }

    func contains(_ text: String) -> Bool { members.contains(text) }

    mutating func insert(_ text: String) {
        guard members.insert(text).inserted else { return }
        order.append(text)
        guard order.count > capacity else { return }
        members.subtract(order.prefix(capacity / 2))
        order.removeFirst(capacity / 2)
    }

    mutating func remove(_ text: String) { members.remove(text) }
}
