import JSON
import Synchronization
import VolumeSwap

/// Remembers the masked strings of tasks under way, to settle them without reading the file.
///
/// Bounded and optional: strings that are missing are read from the file and masked.
final class TaskMemory: Sendable {
    static let limit = 1024

    private struct Entry {
        var request: Masked?
        var result: Masked?
    }

    private let entries = Mutex<[TaskID: Entry]>([:])

    func accepted(_ record: SwapRecord) {
        guard entries.withLock({ $0.count < Self.limit }) else { return }
        let request = Masked(args: .object(record.args), context: .object(record.context))
        entries.withLock { $0[record.id] = Entry(request: request) }
    }

    func finished(_ id: TaskID, _ outcome: SwapOutcome) {
        let result = if case .success(let value) = outcome { Masked(result: value.json) } else { Masked() }
        entries.withLock { $0[id]?.result = result }
    }

    func forget(_ id: TaskID) { entries.withLock { $0[id] = nil } }

    /// All strings of a task; nil if one is missing.
    func masked(_ id: TaskID) -> Masked? {
        guard let entry = entries.withLock({ $0[id] }), var masked = entry.request, let result = entry.result else { return nil }
        masked.result = result.result
        return masked
    }
}

/// A record's strings with their secrets masked; nil leaves a string as it is.
struct Masked: Sendable {
    var args: String?
    var context: String?
    var result: String?

    init() {}

    init(args: JSONValue, context: JSONValue) {
        self.args = Self.text(args)
        self.context = Self.text(context)
    }

    init(result: JSONValue) { self.result = Self.text(result) }

    init(stored args: String?, _ context: String?, _ result: String?) {
        self.args = args.flatMap(Self.text(stored:))
        self.context = context.flatMap(Self.text(stored:))
        self.result = result.flatMap(Self.text(stored:))
    }

    private static func text(_ value: JSONValue) -> String? { value.redactedIfSecret()?.serialized() }

    private static func text(stored text: String) -> String? {
        // An unreadable string may hold anything.
        guard let value = try? JSONValue(parsing: text) else { return "{}" }
        return Self.text(value)
    }
}
