import Basics
import JSON
import OsloMessaging
import VolumeSwap

/// `get_capabilities()`
struct GetCapabilities: PlainSwapMethod {
    static let name = "get_capabilities"
    static let isSlow = true
    /// All methods on the bus, the server's own among them.
    static let methods = SwapEndpoint.methods.union([RPCServer.pingMethod]).sorted()

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        let host = try await service.capabilities()
        let obstacle = if case .unsupported(let why) = host.features.growSupport { why } else { String?.none }
        return [
            "version": .string(pivotdVersion),
            "methods": .array(Self.methods.map { .string($0) }),
            "drivers": .array(HostCapabilities.drivers.map { .string($0) }),
            "connector_helper": .bool(host.hasConnector),
            "strategies": .array((["auto"] + SwapStrategy.allCases.map(\.rawValue)).map { .string($0) }),
            "hypervisor": .string(host.hypervisor),
            "libvirt": host.versions.libvirt.map { .string($0) } ?? .null,
            "qemu": host.versions.qemu.map { .string($0) } ?? .null,
            "grow": .bool(obstacle == nil),
            "grow_obstacle": obstacle.map { .string($0) } ?? .null,
            "keep_tpm": .bool(host.keepsTPMState),
            "features": host.features.json,
        ]
    }
}
