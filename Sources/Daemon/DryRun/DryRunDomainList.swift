import Foundation
import JSON
import VolumeSwap

/// Reads the file of `domains=`: a JSON list of `{"uuid", "name", "disks": [{"target", "path", "bytes", "serial"}], "persistent",
/// "running"}`, of which only the first two and the first two of a disk must be there.
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
        guard let uuid = item["uuid"]?.stringValue, let name = item["name"]?.stringValue else {
            throw ConfigurationError(problems: ["uuid and name must be texts"])
        }
        var disks: [DryRunDisk] = []
        for disk in item["disks"]?.arrayValue ?? [] {
            guard let target = disk["target"]?.stringValue, let path = disk["path"]?.stringValue, path.hasPrefix("/") else {
                throw ConfigurationError(problems: ["a disk needs a target and an absolute path"])
            }
            let bytes = disk["bytes"]?.integerValue ?? options.sizeGiB << 30
            guard bytes > 0 else { throw ConfigurationError(problems: ["bytes of \(target) must be greater than 0"]) }
            disks.append(
                DryRunDisk(
                    DryRunDiskFacts(
                        target: target, source: VolumeSource(location: DryRunHypervisor.location(path: path), format: "raw"),
                        bytes: bytes, serial: disk["serial"]?.stringValue)))
        }
        let isPersistent = item["persistent"]?.boolValue ?? options.isPersistent
        return DryRunDomain(
            identity: DomainIdentity(uuid: uuid.lowercased(), name: name), disks: disks,
            definition: isPersistent ? .disks(disks) : nil, isActive: item["running"]?.boolValue ?? true)
    }
}
