/// Volumes on Scality's file system, which has a single mount beside nova's other mounts; `sofs_path` leads to the file.
struct Scality: VolumeDriver {
    let types = ["scality"]
    let members: [String: ConnectionInfo.Member] = ["sofs_path": .text]
    let isHostAttached = false
    let isOnShare = true

    func target(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> VolumeTarget {
        if let path = connection.devicePath { return .path(path) }
        guard let path = connection.text("sofs_path") else {
            throw .invalidInput("\(context.argument).data.device_path: missing, and there is no sofs_path to build it from")
        }
        guard !path.split(separator: "/").contains("..") else {
            throw .invalidInput("\(context.argument).data.sofs_path: must not lead upwards")
        }
        let parent = context.mountPointBase.split(separator: "/").dropLast().map { "/\($0)" }.joined()
        return .path("\(try connection.mountPointBase(context) ?? "\(parent)/scality")/\(path)")
    }

    func share(of connection: ConnectionInfo, _ context: DriverContext) -> ShareLocation? { nil }
}
