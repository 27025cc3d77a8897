import JSON
import OsloMessaging
import VolumeSwap

/// `abort_swap(task_id | instance+mountpoint)`
struct AbortSwap: SwapMethod {
    static let name = "abort_swap"
    static let isControl = true
    private let selector: SwapSelector

    init(args: JSONObject) throws(SwapFailure) { selector = try SwapSelector(args: args) }

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        try await service.abort(selector).json(failures)
    }
}
