import JSON
import OsloMessaging
import VolumeSwap

/// `set_bandwidth(task_id, bandwidth_mib_s)`
struct SetBandwidth: SwapMethod {
    static let name = "set_bandwidth"
    static let isControl = true
    private let selector: SwapSelector
    private let mibS: Int64

    init(args: JSONObject) throws(SwapFailure) {
        selector = try SwapSelector(args: args)
        guard let limit = Argument(args, "bandwidth_mib_s") else {
            throw .invalidInput("bandwidth_mib_s: missing; it is a number of MiB/s, 0 for no limit")
        }
        mibS = try limit.integer(0...(1 << 32))
    }

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        try await service.setBandwidth(selector, mibS: mibS).json(failures)
    }
}
