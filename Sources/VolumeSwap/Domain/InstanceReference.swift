import Basics
package import JSON

/// How a request names its instance, which is looked up by UUID first, then by name.
package struct InstanceReference: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The UUID in lower case.
    package var uuid: String?
    /// The libvirt domain name, such as `instance-0000002a`.
    package var name: String?

    private static let refusedPrefix = "refused:"

    package init(uuid: String?, name: String?) {
        self.uuid = uuid?.lowercased()
        self.name = name
    }

    /// Reads a UUID string, `{"uuid", "name"}`, or a serialised nova Instance object (`nova_object.data.uuid`).
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` for anything else.
    package init(json: JSONValue?) throws(SwapFailure) {
        switch json {
        case .string(let text):
            guard Self.isUUID(text) else { throw .invalidInput("instance: '\(text.cut(to: 80))' is not a UUID") }
            self.init(uuid: text, name: nil)
        case .object(let object):
            var members = object
            if let data = object["nova_object.data"] {
                guard let data = data.objectValue else { throw .invalidInput("instance: nova_object.data must be an object") }
                members = data
            }
            let uuid = try Argument(members, "uuid", in: "instance.")?.string()
            let name = try Argument(members, "name", in: "instance.")?.string(limit: 255)
            if let uuid, !Self.isUUID(uuid) { throw .invalidInput("instance: uuid '\(uuid.cut(to: 80))' is not a UUID") }
            guard uuid != nil || !(name ?? "").isEmpty else {
                throw .invalidInput("instance: neither a uuid nor a name is given")
            }
            self.init(uuid: uuid, name: name)
        case nil, .null:
            throw .invalidInput("instance: missing")
        default:
            throw .invalidInput("instance: must be a UUID string or an object with a uuid")
        }
    }

    /// The key that orders the instance's tasks.
    package var key: String { uuid ?? Self.key(ofName: name ?? "") }
    /// The keys of all that it is called by.
    package var keys: [String] { [uuid, name.map(Self.key(ofName:))].compactMap { $0 } }

    /// The key of a request that is refused at once: it belongs to the instance, but has no place in the instance's queue.
    package var refusedKey: String { Self.refusedKey(ofKey: key) }

    static func key(ofName name: String) -> String { "name:\(name)" }
    static func refusedKey(ofKey key: String) -> String { "\(refusedPrefix)\(key)" }
    /// Whether a key is that of a request that was refused at once.
    package static func isRefused(key: String) -> Bool { key.hasPrefix(refusedPrefix) }
    /// The name that a key stands for; nil for the key of a UUID, or of no instance.
    static func name(ofKey key: String) -> String? { key.hasPrefix("name:") ? String(key.dropFirst(5)) : nil }

    package var description: String { uuid ?? name ?? "?" }

    package static func isUUID(_ text: String) -> Bool { text.utf8.count == 36 && Array(text.utf8)[...].holdsUUID }
}
