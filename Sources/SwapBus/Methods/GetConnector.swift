import JSON
import OsloMessaging
import VolumeSwap

/// `get_connector()`
struct GetConnector: PlainSwapMethod {
    static let name = "get_connector"
    static let isSlow = true

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        .object(try await service.connectorProperties().json)
    }
}
