import JSON
import Synchronization
import VolumeSwap

/// What is remembered of tasks under way to spare the file work: the texts to settle a task with.
///
/// Bounded, and never needed: without it texts are read from the file to be masked.
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

    /// All texts of a task, or nil where one is not known.
    func masked(_ id: TaskID) -> Masked? {
        guard let entry = entries.withLock({ $0[id] }), var masked = entry.request, let result = entry.result else { return nil }
        masked.result = result.result
        return masked
    }
}

/// Texts of a record with their secrets masked; nil stays as it is.
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

    init(stored args: String, _ context: String, _ result: String?) {
        self.args = Self.text(stored: args)
        self.context = Self.text(stored: context)
        self.result = result.flatMap(Self.text(stored:))
    }

    private static func text(_ value: JSONValue) -> String? { value.redactedIfSecret()?.serialized() }

    private static func text(stored text: String) -> String? {
        // What cannot be read may hold anything.
        guard let value = try? JSONValue(parsing: text) else { return "{}" }
        return Self.text(value)
    }
}
