import JSON
import OrderedCollections
import OsloMessaging

/// Compares each replayed call's answer with the recorded one, which may arrive in either order.
struct OutcomeComparison {
    /// The result of a comparison; `difference` is nil if the answers are equal.
    struct Verdict {
        let place: ReplayPlace
        let difference: String?
    }

    /// Maximum answers without a counterpart; beyond it the oldest are dropped.
    static let capacity = 10_000

    /// The encoded answer: a tenth of the size of its values.
    private struct Replayed {
        let place: ReplayPlace
        let method: String
        let answer: [UInt8]
    }

    private var replayed: OrderedDictionary<String, Replayed> = [:]
    private var recorded: OrderedDictionary<String, [UInt8]> = [:]
    private let normal: AnswerForm
    private var dropped = 0

    init(ignoringSizes: Bool) {
        normal = AnswerForm(ignoringSizes: ignoringSizes)
    }

    /// Answers without a recorded counterpart.
    var unmatched: Int { replayed.count + dropped }

    mutating func replayed(_ message: ReplayMessage, _ answer: [UInt8]) -> Verdict? {
        guard let id = message.recordedMessageID else { return nil }
        let method = if case .request(let request) = message.content { request.method } else { "" }
        let entry = Replayed(place: message.place, method: method, answer: answer)
        if let other = recorded.removeValue(forKey: id) { return verdict(entry, recorded: other) }
        replayed[id] = entry
        if replayed.count > Self.capacity {
            replayed.removeFirst(Self.capacity / 10)
            dropped += Self.capacity / 10
        }
        return nil
    }

    mutating func recorded(_ messageID: String, _ answer: [UInt8]) -> Verdict? {
        if let entry = replayed.removeValue(forKey: messageID) { return verdict(entry, recorded: answer) }
        recorded[messageID] = answer
        if recorded.count > Self.capacity { recorded.removeFirst(Self.capacity / 10) }
        return nil
    }

    private func verdict(_ entry: Replayed, recorded: [UInt8]) -> Verdict? {
        guard let old = try? RPCReply(decoding: recorded), let new = try? RPCReply(decoding: entry.answer) else { return nil }
        let comparable = AnswerForm.Comparable(method: entry.method, old.content, new.content)
        let was = normal.normalized(old.content, comparable)
        let isNow = normal.withoutNews(normal.normalized(new.content, comparable), of: was)
        return Verdict(place: entry.place, difference: was == isNow ? nil : LineDifference.text(old: was, new: isNow))
    }
}

/// An answer without anything that may differ between runs: ids, times, secrets, and values that depend on the moment.
private struct AnswerForm {
    private static let passing: Set = [
        "task_id", "duration_s", "accepted_at", "started_at", "finished_at", "rate_bytes_s", "eta_s", "hypervisor",
        // The number of copied bytes depends on what the guest writes meanwhile.
        "copied_bytes", "total_bytes", "remaining_bytes", "attempts",
    ]
    private static let sentences: Set = ["message", "reason"]
    private static let sizes: Set = ["capacity_bytes"]
    /// Members whose values depend on the moment.
    private static let momentary: Set = [
        "state", "strategy", "progress", "result", "failure", "swaps", "acceptable", "old_bytes", "new_bytes", "will_grow",
        "already_moved", "adoptable", "estimate_s", "warnings",
    ]

    /// Which parts of two answers to the same request can be compared.
    enum Comparable {
        case all
        /// Answers that depend on the moment, but both about a finished swap, whose outcome does not.
        case outcome
        /// Answers that depend on the moment, except for a swap's strategy once it is known.
        case lasting(strategy: Bool)

        private static let final: Set = ["completed", "failed", "aborted"]

        init(method: String, _ old: RPCReply.Content, _ new: RPCReply.Content) {
            guard ["get_swap", "list_swaps", "set_bandwidth", "abort_swap", "check_swap"].contains(method) else {
                self = .all
                return
            }
            guard method == "get_swap", case .result(let old) = old, case .result(let new) = new else {
                self = .lasting(strategy: false)
                return
            }
            if [old, new].allSatisfy({ Self.final.contains($0["state"]?.stringValue ?? "") }) {
                self = .outcome
            } else {
                self = .lasting(strategy: [old, new].allSatisfy { $0["strategy"]?.stringValue != nil })
            }
        }
    }

    private let ignored: Set<String>

    init(ignoringSizes: Bool) {
        ignored = ignoringSizes ? Self.passing.union(Self.sizes) : Self.passing
    }

    func normalized(_ content: RPCReply.Content, _ comparable: Comparable) -> JSONValue {
        switch content {
        case .heartbeat: return "heartbeat"
        case .failure(let failure):
            return [
                "failure": .string("\(failure.module).\(failure.className)"), "message": .string(withoutIDs(failure.message)),
                "kwargs": cleaned(
                    .object(failure.kwargs.mapValues { $0.stringValue.map { .string(withoutIDs($0)) } ?? $0 }), ignored),
            ]
        case .result(let value):
            return ["result": cleaned(value.redacted(), ignored(comparable))]
        }
    }

    private func ignored(_ comparable: Comparable) -> Set<String> {
        switch comparable {
        case .all: ignored
        case .outcome: ignored.union(["progress"])
        case .lasting(let strategy):
            strategy ? ignored.union(Self.momentary).subtracting(["strategy"]) : ignored.union(Self.momentary)
        }
    }

    /// Members added to answers since the recording are not differences.
    func withoutNews(_ value: JSONValue, of old: JSONValue) -> JSONValue {
        guard case .object(let members) = value, case .object(let known) = old else { return value }
        var result: JSONObject = [:]
        for (key, value) in members {
            if let before = known[key] {
                result[key] = withoutNews(value, of: before)
            } else if !Self.news.contains(key) {
                result[key] = value
            }
        }
        return .object(result)
    }

    private static let news: Set = ["resized", "reason_code", "retryable", "in_use", "left_behind", "detail"]

    private func cleaned(_ value: JSONValue, _ ignored: Set<String>) -> JSONValue {
        switch value {
        case .object(let members):
            var result: JSONObject = [:]
            for (key, value) in members where !ignored.contains(key) {
                let text = Self.sentences.contains(key) ? value.stringValue : nil
                result[key] = text.map { .string(withoutIDs($0)) } ?? cleaned(value, ignored)
            }
            return .object(result)
        case .array(let elements): return .array(elements.map { cleaned($0, ignored) })
        default: return value
        }
    }

    /// Message and task ids are 32 hexadecimal digits.
    private func withoutIDs(_ text: String) -> String {
        text.split(separator: " ", omittingEmptySubsequences: false).map { word in
            word.utf8.count >= 32 && word.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) ? "ID" : word
        }.joined(separator: " ")
    }
}

/// What changed from one JSON value to another, line by line.
enum LineDifference {
    static func text(old: JSONValue, new: JSONValue) -> String {
        let old = lines(old)
        let new = lines(new)
        var rows: [String] = []
        let changes = new.difference(from: old)
        var removed: Set<Int> = []
        var inserted: Set<Int> = []
        for change in changes {
            switch change {
            case .remove(let offset, _, _): removed.insert(offset)
            case .insert(let offset, _, _): inserted.insert(offset)
            }
        }
        var index = 0
        for (offset, line) in old.enumerated() {
            if removed.contains(offset) {
                rows.append("  - \(line)")
                continue
            }
            while inserted.contains(index) {
                rows.append("  + \(new[index])")
                index += 1
            }
            index += 1
        }
        while index < new.count {
            rows.append("  + \(new[index])")
            index += 1
        }
        return rows.joined(separator: "\n")
    }

    private static func lines(_ value: JSONValue) -> [String] {
        value.serialized(sortedKeys: true, indent: 2).split(separator: "\n").map(String.init)
    }
}
