import Foundation
import JSON
import Settings
import VolumeSwap

/// Reads the file of `domains=`: a JSON list of `{"uuid", "name", "disks": [{"target", "path", "bytes", "serial"}], "persistent",
/// "running"}`. Only `uuid`, `name` and a disk's `target` and `path` are required.
enum DryRunDomainList {
    /// - Throws: ``ConfigurationError`` with the file and the entry.
    static func read(file: String, options: DryRunOptions) throws(ConfigurationError) -> [DryRunDomain] {
        let list: [JSONValue]
        do {
            let value = try JSONValue(parsing: Array(Data(contentsOf: URL(fileURLWithPath: file))))
            guard let items = value.arrayValue else { throw ConfigurationError(problems: ["\(file): must be a list of domains"]) }
            list = items
        } catch let error as ConfigurationError {
            throw error
        } catch let error as JSONError {
            throw ConfigurationError(problems: ["\(file): \(error)"])
        } catch {
            throw ConfigurationError(problems: ["\(file): cannot be read: \(error.localizedDescription)"])
        }
        var domains: [DryRunDomain] = []
        var problems: [String] = []
        for (index, item) in list.enumerated() {
            do {
                domains.append(try domain(item, options))
            } catch {
                problems += error.problems.map { "\(file): domain \(index): \($0)" }
            }
        }
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
        return domains
    }

    private static func domain(_ item: JSONValue, _ options: DryRunOptions) throws(ConfigurationError) -> DryRunDomain {
        let entry = try Entry(item, known: ["uuid", "name", "disks", "persistent", "running"])
        let uuid = try entry.required("uuid", "a UUID") {
            $0.stringValue.flatMap { UUID(uuidString: $0) == nil ? nil : $0.lowercased() }
        }
        let name = try entry.required("name", "a string") { $0.stringValue }
        let listed = try entry.optional("disks", "a list") { $0.arrayValue } ?? []
        var disks: [DryRunDisk] = []
        for disk in listed { disks.append(try self.disk(disk, options)) }
        let isPersistent = try entry.optional("persistent", "true or false") { $0.boolValue } ?? options.isPersistent
        return DryRunDomain(
            identity: DomainIdentity(uuid: uuid, name: name), disks: disks, definition: isPersistent ? .disks(disks) : nil,
            isActive: try entry.optional("running", "true or false") { $0.boolValue } ?? true)
    }

    private static func disk(_ item: JSONValue, _ options: DryRunOptions) throws(ConfigurationError) -> DryRunDisk {
        let entry = try Entry(item, known: ["target", "path", "bytes", "serial"])
        let path = try entry.required("path", "an absolute path") { $0.stringValue.flatMap { $0.hasPrefix("/") ? $0 : nil } }
        return DryRunDisk(
            DryRunDiskFacts(
                target: try entry.required("target", "a string such as vdb") { $0.stringValue },
                source: VolumeSource(location: DryRunHypervisor.location(path: path), format: "raw"),
                bytes: try entry.optional("bytes", "a number greater than 0") { $0.wholeValue.flatMap { $0 > 0 ? $0 : nil } }
                    ?? options.sizeGiB << 30,
                serial: try entry.optional("serial", "a string") { $0.stringValue }))
    }
}

/// Reads the members of one of the file's objects.
private struct Entry {
    private let members: JSONObject

    init(_ value: JSONValue, known: [String]) throws(ConfigurationError) {
        guard let members = value.objectValue else { throw ConfigurationError(problems: ["must be an object"]) }
        if let stray = members.keys.first(where: { !known.contains($0) }) {
            throw ConfigurationError(problems: ["unknown '\(stray)'; known are \(known.joined(separator: ", "))"])
        }
        self.members = members
    }

    func required<Value>(_ key: String, _ kind: String, _ read: (JSONValue) -> Value?) throws(ConfigurationError) -> Value {
        guard let value = try optional(key, kind, read) else { throw ConfigurationError(problems: ["\(key): missing"]) }
        return value
    }

    func optional<Value>(_ key: String, _ kind: String, _ read: (JSONValue) -> Value?) throws(ConfigurationError) -> Value? {
        guard let member = members[key], !member.isNull else { return nil }
        guard let value = read(member) else { throw ConfigurationError(problems: ["\(key): must be \(kind)"]) }
        return value
    }
}
