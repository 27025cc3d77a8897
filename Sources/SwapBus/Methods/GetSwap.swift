import JSON
import OsloMessaging
import VolumeSwap

/// `get_swap(task_id | instance+mountpoint)`
struct GetSwap: SwapMethod {
    static let name = "get_swap"
    private let selector: SwapSelector

    init(args: JSONObject) throws(SwapFailure) { selector = try SwapSelector(args: args) }

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        try await service.status(selector).json(failures)
    }
}
