import JSON
import OsloMessaging
import VolumeSwap

/// `get_connector()`
struct GetConnector: SwapMethod {
    static let name = "get_connector"

    init(args: JSONObject) throws(SwapFailure) {}

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        .object(try await service.connectorProperties().json)
    }
}
