package import JSON

/// Cinder's connection_info as received. Its printed form is masked.
package struct ConnectionInfo: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    /// The whole object, including unknown keys.
    package let json: JSONObject
    /// What Cinder's driver returns under `data`.
    package let data: JSONObject
    /// The kind of volume, which selects its ``VolumeDriver``.
    package let driverVolumeType: String

    /// Reads and checks a connection_info.
    ///
    /// - Parameter argument: names the argument in errors.
    /// - Throws: ``SwapFailure`` of kind `invalidInput` naming the member.
    package init(json value: JSONValue?, argument: String) throws(SwapFailure) {
        try self.init(resuming: value, argument: argument)
        try Self.check(json, Self.topMembers, path: argument)
        try Self.check(data, VolumeDrivers.members, path: "\(argument).data")
    }

    /// Reads a connection_info that was accepted before, without checking its members.
    init(resuming value: JSONValue?, argument: String) throws(SwapFailure) {
        guard let value, !value.isNull else { throw .invalidInput("\(argument): missing") }
        guard let object = value.objectValue else { throw .invalidInput("\(argument): must be an object") }
        guard let type = object["driver_volume_type"]?.stringValue, !type.isEmpty else {
            throw .invalidInput("\(argument).driver_volume_type: missing or not a string")
        }
        try Argument.checkLength(type, "\(argument).driver_volume_type", limit: 64)
        guard let data = object["data"]?.objectValue else { throw .invalidInput("\(argument).data: missing or not an object") }
        json = object
        self.data = data
        driverVolumeType = type
    }

    /// The volume's id as Cinder knows it.
    package var volumeID: String? { json["serial"]?.stringValue ?? data["volume_id"]?.stringValue }
    /// Whether the volume may be attached to several instances.
    package var isMultiattach: Bool { json["multiattach"]?.boolValue ?? false }
    /// Whether the volume is LUKS-encrypted; false if not stated.
    package var isEncrypted: Bool { data["encrypted"]?.boolValue ?? false }
    /// Whether `encrypted` is stated at all.
    var saysEncrypted: Bool { data["encrypted"]?.boolValue != nil }
    /// Every id that it gives the volume.
    var volumeIDs: [String] { [json["serial"]?.stringValue, text("volume_id")].compactMap { $0 }.filter { !$0.isEmpty } }

    package var description: String { "ConnectionInfo(\(driverVolumeType), volume \(volumeID ?? "?"))" }
    package var customMirror: Mirror { Mirror(self, children: ["driver_volume_type": driverVolumeType]) }

    /// A non-empty string of `data`, or nil.
    package func text(_ key: String) -> String? {
        guard let text = data[key]?.stringValue, !text.isEmpty else { return nil }
        return text
    }

    /// - Throws: ``SwapFailure`` of kind `invalidInput` if there is no such string.
    func requiredText(_ key: String, _ argument: String) throws(SwapFailure) -> String {
        guard let text = text(key) else { throw .invalidInput("\(argument).data.\(key): missing or not a string") }
        return text
    }

    var devicePath: String? { text("device_path") }

    /// Some drivers give numbers as strings.
    static func number(_ value: JSONValue) -> Int64? { value.wholeValue ?? value.stringValue.flatMap(Int64.init) }

    static func port(_ value: JSONValue, _ key: String) throws(SwapFailure) -> Int {
        guard let number = number(value), (1...65535).contains(number) else {
            throw .invalidInput("\(key): must be a port from 1 to 65535")
        }
        return Int(number)
    }

    /// A host without the brackets of an IPv6 address.
    static func bare(_ host: String) -> String {
        host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    }

    /// The connection_info of a swap's result: the new one, with the old volume's id wherever it states one.
    ///
    /// nova does the same: after a Cinder migration the new volume takes the old one's id, and the disk keeps its serial.
    ///
    /// - Parameters:
    ///   - old: the old volume's connection_info.
    ///   - oldVolumeID: the id to use if `old` has no `serial`.
    ///   - devicePath: the new volume's host path, if it has one.
    package func replacing(_ old: ConnectionInfo, oldVolumeID: String?, devicePath: String?) -> JSONObject {
        var connection = json
        var data = data
        if let devicePath { data["device_path"] = .string(devicePath) }
        if let id = old.json["serial"]?.stringValue ?? oldVolumeID ?? old.text("volume_id") {
            connection["serial"] = .string(id)
            if data["volume_id"]?.isNull == false { data["volume_id"] = .string(id) }
        }
        connection["data"] = .object(data)
        return connection
    }

    /// With the path at which the host has an encrypted volume, if it names none: os-brick makes that path itself, and removes it only if it
    /// is told. With any other it would flush the device first, which a dead one does not survive.
    func at(_ path: String?) -> ConnectionInfo {
        guard let path, devicePath == nil, isEncrypted else { return self }
        var (connection, data) = (json, data)
        data["device_path"] = .string(path)
        connection["data"] = .object(data)
        return (try? ConnectionInfo(resuming: .object(connection), argument: "connection_info")) ?? self
    }

    /// The type that a member must have, unless it is null.
    enum Member: String, Sendable {
        case text = "a string"
        case path = "an absolute path"
        case boolean = "true or false"
        case list = "a list"
        /// Any type: its readers accept several.
        case open = "a value"
        case port = "a port from 1 to 65535"

        fileprivate func fits(_ value: JSONValue) -> Bool {
            switch self {
            case .text: value.stringValue != nil
            case .path: value.stringValue?.utf8.first == UInt8(ascii: "/")
            case .boolean: value.boolValue != nil
            case .list: value.arrayValue != nil
            case .open: true
            case .port: value.wholeValue != nil || value.stringValue != nil
            }
        }
    }

    private static let topMembers: [String: Member] = [
        "driver_volume_type": .text, "serial": .text, "multiattach": .boolean, "mount_point_base": .text,
    ]
    /// Members of `data` that volumes of every kind may have.
    static let commonMembers: [String: Member] = [
        "device_path": .path, "format": .text, "encrypted": .boolean, "volume_id": .text,
    ]

    /// Checks the members that reach libvirt, a path or a command. A member of the wrong type must not pass for a missing one,
    /// and no string may hold a control character. Other members may hold anything, such as a keyring with line breaks.
    private static func check(
        _ members: JSONObject, _ kinds: [String: Member], path: @autoclosure () -> String
    ) throws(SwapFailure) {
        for (key, value) in members {
            guard !value.isNull, let kind = kinds[key] else { continue }
            guard kind.fits(value) else { throw .invalidInput("\(path()).\(key): must be \(kind.rawValue)") }
            try checkTexts(value, path: "\(path()).\(key)")
        }
    }

    /// Refuses strings with control characters, or longer than any path or name can be.
    private static func checkTexts(_ value: JSONValue, path: @autoclosure () -> String) throws(SwapFailure) {
        switch value {
        case .string(let text): try Argument.checkText(text, path())
        case .array(let items):
            for item in items { try checkTexts(item, path: path()) }
        default: break
        }
    }
}
