import JSON
import OsloMessaging
import VolumeSwap

/// `list_volumes(instance=null)`
struct ListVolumes: SwapMethod {
    static let name = "list_volumes"
    static let isSlow = true
    private let instance: InstanceReference?

    init(args: JSONObject) throws(SwapFailure) {
        let argument = args["instance"] ?? .null
        instance = argument.isNull ? nil : try InstanceReference(json: argument)
    }

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        do {
            return ["volumes": .array(try await service.volumes(of: instance).map(\.json))]
        } catch let error as HypervisorError {
            if error.code == .noDomain, let instance { throw SwapFailure(.instanceNotFound, "\(instance)") }
            throw error
        }
    }
}

extension HostVolume {
    fileprivate var json: JSONValue {
        [
            "instance_uuid": .string(domain.uuid),
            "name": .string(domain.name),
            "disk": .string(disk),
            "source": .string("\(source)"),
            "driver": .string(source.kind),
            "serial": serial.map { .string($0) } ?? .null,
            "bytes": bytes.map { .integer($0) } ?? .null,
            "job": job.map { .string($0) } ?? .null,
        ]
    }
}

extension VolumeLocation {
    /// libvirt's source type, or the protocol of a network volume.
    fileprivate var kind: String {
        switch self {
        case .file: "file"
        case .block: "block"
        case .network(let network): network.transport
        case .other: "other"
        }
    }
}
