import JSON
import OsloMessaging
import VolumeSwap

/// `pivot_swap(task_ids)`
struct PivotSwap: SwapMethod {
    static let name = "pivot_swap"
    static let isControl = true
    static let isSlow = true
    /// Maximum number of tasks in one call.
    private static let limit = 1000
    private let ids: [TaskID]

    init(args: JSONObject) throws(SwapFailure) {
        guard let argument = Argument(args, "task_ids") else {
            throw .invalidInput("task_ids: missing; it is a list of task ids")
        }
        let tasks = argument.value.arrayValue ?? []
        guard (1...Self.limit).contains(tasks.count) else {
            throw argument.invalid("must be a list of 1 to \(Self.limit) task ids")
        }
        ids = try tasks.map { task throws(SwapFailure) in TaskID(try Argument(value: task, "task_ids").string()) }
    }

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        ["swaps": .array(try await service.pivot(ids).map { $0.json(failures) })]
    }
}
