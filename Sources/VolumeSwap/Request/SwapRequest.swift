import Basics
package import JSON

/// The arguments of one `swap_volume` call, checked for type and range.
package struct SwapRequest: Sendable {
    /// Bytes in a GiB, the unit of `resize_to`.
    package static let bytesPerGiB: Int64 = 1 << 30

    package var instance: InstanceReference
    package var oldConnection: ConnectionInfo
    package var newConnection: ConnectionInfo
    /// The disk's target name, such as `vdb`.
    package var disk: String
    /// The requested size in GiB; 0 keeps the old size.
    package var resizeToGiB: Int64
    package var oldVolumeID: String?
    package var newVolumeID: String?
    package var options: SwapOptions

    /// The requested size in bytes; nil to keep the old size.
    package var resizeToBytes: Int64? { resizeToGiB == 0 ? nil : resizeToGiB * Self.bytesPerGiB }

    private static let known: Set = [
        "instance", "old_connection_info", "new_connection_info", "mountpoint", "resize_to", "old_volume_id", "new_volume_id",
        "options", "request_token",
    ]

    /// Reads the arguments.
    ///
    /// - Parameter defaults: the options that `args` does not name.
    /// - Throws: ``SwapFailure`` of kind `invalidInput` naming the argument.
    package init(args: JSONObject, defaults: SwapOptions) throws(SwapFailure) {
        if let stray = args.keys.first(where: { !Self.known.contains($0) }) {
            throw .invalidInput("unknown argument '\(stray.cut(to: 80))'")
        }
        instance = try InstanceReference(json: args["instance"])
        oldConnection = try ConnectionInfo(json: args["old_connection_info"], argument: "old_connection_info")
        newConnection = try ConnectionInfo(json: args["new_connection_info"], argument: "new_connection_info")
        disk = try Self.disk(mountpoint: args["mountpoint"])
        resizeToGiB = try Argument(args, "resize_to")?.integer(0...(1 << 32)) ?? 0
        oldVolumeID = try Argument(args, "old_volume_id")?.string(limit: 255)
        newVolumeID = try Argument(args, "new_volume_id")?.string(limit: 255)
        options = try SwapOptions(json: args["options"], defaults: defaults)
        _ = try Self.token(args)
    }

    /// `request_token`, in lower case: the task's id where it is given.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` when it is not a UUID.
    package static func token(_ args: JSONObject) throws(SwapFailure) -> TaskID? {
        guard let argument = Argument(args, "request_token") else { return nil }
        let text = try argument.string()
        guard InstanceReference.isUUID(text) else { throw argument.invalid("must be a UUID") }
        return TaskID(text.lowercased())
    }

    /// Whether two requests ask for the same swap, secrets aside.
    func asksForTheSame(as other: SwapRequest) -> Bool {
        func plain(_ connection: ConnectionInfo) -> JSONValue { JSONValue.object(connection.json).redacted() }
        return instance.key == other.instance.key && disk == other.disk && resizeToGiB == other.resizeToGiB
            && oldVolumeID == other.oldVolumeID && newVolumeID == other.newVolumeID && options == other.options
            && plain(oldConnection) == plain(other.oldConnection) && plain(newConnection) == plain(other.newConnection)
    }

    /// The string without a leading `/dev/`.
    package static func diskName(_ text: String) -> String { text.hasPrefix("/dev/") ? String(text.dropFirst(5)) : text }

    /// The target name `vdb` for `/dev/vdb` or `vdb`.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` if it is not a disk name.
    package static func disk(mountpoint: JSONValue?) throws(SwapFailure) -> String {
        guard let mountpoint, !mountpoint.isNull else { throw .invalidInput("mountpoint: missing") }
        guard let text = mountpoint.stringValue else { throw .invalidInput("mountpoint: must be a string such as /dev/vdb") }
        let name = diskName(text)
        let bytes = name.utf8
        guard (1...32).contains(bytes.count), bytes.allSatisfy({ (97...122).contains($0) || (48...57).contains($0) }) else {
            throw .invalidInput("mountpoint: '\(text.cut(to: 80))' is not a disk name such as /dev/vdb")
        }
        return name
    }
}
