import JSON
import OsloMessaging
import VolumeSwap

/// `get_swap(task_id | instance+mountpoint, history=false)`
struct GetSwap: SwapMethod {
    static let name = "get_swap"
    private let selector: SwapSelector
    /// Whether to add what has happened to the task.
    private let hasHistory: Bool

    init(args: JSONObject) throws(SwapFailure) {
        selector = try SwapSelector(args: args)
        hasHistory = try Argument(args, "history").map { argument throws(SwapFailure) in try argument.bool() } ?? false
    }

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        let status = try await service.status(selector)
        guard hasHistory else { return status.json(failures) }
        return status.json(failures, history: try await service.history(of: status.record.id))
    }
}
