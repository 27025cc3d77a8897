package import JSON
import OrderedCollections

/// Cinder's connection_info as it was received. Its printed form is masked.
package struct ConnectionInfo: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    /// Everything, unknown keys included.
    package let json: JSONObject
    /// What Cinder's driver returns under `data`.
    package let data: JSONObject
    package let driverVolumeType: String

    package init(json value: JSONValue?, argument: String) throws(SwapFailure) {
        try self.init(resuming: value, argument: argument)
        try Self.checkTexts(.object(json), path: argument)
        try Self.checkKinds(json, Self.kinds, path: argument)
        try Self.checkKinds(data, Self.dataKinds, path: "\(argument).data")
    }

    /// Reads what was accepted before, without a look at the members.
    init(resuming value: JSONValue?, argument: String) throws(SwapFailure) {
        guard let value, !value.isNull else { throw .invalidInput("\(argument): missing") }
        guard let object = value.objectValue else { throw .invalidInput("\(argument): must be an object") }
        guard let type = object["driver_volume_type"]?.stringValue, !type.isEmpty else {
            throw .invalidInput("\(argument).driver_volume_type: missing or not a text")
        }
        try SwapRequest.checkLength(type, "\(argument).driver_volume_type", limit: 64)
        guard let data = object["data"]?.objectValue else { throw .invalidInput("\(argument).data: missing or not an object") }
        json = object
        self.data = data
        driverVolumeType = type
    }

    /// The volume's id as Cinder knows it.
    package var volumeID: String? { json["serial"]?.stringValue ?? data["volume_id"]?.stringValue }
    package var isMultiattach: Bool { json["multiattach"]?.boolValue ?? false }
    package var isEncrypted: Bool { data["encrypted"]?.boolValue ?? false }

    package var description: String { "ConnectionInfo(\(driverVolumeType), volume \(volumeID ?? "?"))" }
    package var customMirror: Mirror { Mirror(self, children: ["driver_volume_type": driverVolumeType]) }

    /// A text of `data`, or nil; never an empty one.
    package func text(_ key: String) -> String? {
        guard let text = data[key]?.stringValue, !text.isEmpty else { return nil }
        return text
    }

    /// What a member that pivotd reads may be, null aside.
    private enum Kind: String {
        case text = "a text"
        case path = "an absolute path"
        case boolean = "true or false"
        case list = "a list"
        case port = "a port from 1 to 65535"

        func fits(_ value: JSONValue) -> Bool {
            switch self {
            case .text: value.stringValue != nil
            case .path: value.stringValue?.utf8.first == UInt8(ascii: "/")
            case .boolean: value.boolValue != nil
            case .list: value.arrayValue != nil
            case .port: value.wholeValue != nil || value.stringValue != nil
            }
        }
    }

    private static let kinds: [String: Kind] = ["serial": .text, "multiattach": .boolean, "mount_point_base": .text]
    private static let dataKinds: [String: Kind] = [
        "device_path": .path, "export": .text, "export_name": .text, "name": .text, "mount_point_base": .text, "format": .text,
        "hosts": .list, "ports": .list, "auth_enabled": .boolean, "auth_username": .text, "auth_password": .text,
        "secret_type": .text, "secret_uuid": .text, "target_portal": .text, "target_iqn": .text, "host": .text, "port": .port,
        "encrypted": .boolean, "volume_id": .text,
    ]

    /// A member of the wrong type must not pass for an absent one.
    private static func checkKinds(
        _ members: JSONObject, _ kinds: [String: Kind], path: @autoclosure () -> String
    ) throws(SwapFailure) {
        for (key, value) in members {
            guard !value.isNull, let kind = kinds[key], !kind.fits(value) else { continue }
            throw .invalidInput("\(path()).\(key): must be \(kind.rawValue)")
        }
    }

    /// No text that reaches libvirt may hold a control character, or be longer than any path or name can be.
    private static func checkTexts(_ value: JSONValue, path: @autoclosure () -> String) throws(SwapFailure) {
        switch value {
        case .string(let text): try checkText(text, path())
        case .object(let object):
            for (key, item) in object { try checkTexts(item, path: "\(path()).\(key.prefix(80))") }
        case .array(let items):
            for item in items { try checkTexts(item, path: path()) }
        default: break
        }
    }

    static func checkText(_ text: String, _ path: @autoclosure () -> String, limit: Int = 4096) throws(SwapFailure) {
        try SwapRequest.checkLength(text, path(), limit: limit)
        let isPrintableASCII = text.utf8.allSatisfy { (0x20..<0x7f).contains($0) }
        let isPlain =
            isPrintableASCII
            || text.unicodeScalars.allSatisfy {
                $0.value >= 0x20 && $0.value != 0x7f && $0.value != 0xfffe && $0.value != 0xffff
            }
        guard isPlain else { throw .invalidInput("\(path()): holds a control character") }
    }
}
