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
        let texts = argument.value.arrayValue?.map(\.stringValue) ?? []
        guard !texts.isEmpty, texts.count <= Self.limit, !texts.contains(nil) else {
            throw argument.invalid("must be a list of 1 to \(Self.limit) task ids")
        }
        ids = texts.compactMap { $0 }.map(TaskID.init)
    }

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        ["swaps": .array(try await service.pivot(ids).map { $0.json(failures) })]
    }
}
