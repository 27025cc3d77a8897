import Foundation
package import Settings

/// The options of a `dry-run:` URI: `dry-run:?rate=200&domains=FILE&fail=instance:UUID,pivot&size=10&persistent=no`.
package struct DryRunOptions: Sendable, Equatable {
    /// The copy rate in MiB/s; nil copies instantly, whatever the requested bandwidth.
    package var rateMiBs: Double?
    /// A file that lists the only domains that exist; if nil, every requested domain exists.
    package var domainsFile: String?
    /// The size in GiB of volumes of unknown size.
    package var sizeGiB: Int64 = 1
    /// Whether domains that are not listed are persistent.
    package var isPersistent = true
    /// Failures to rehearse; the first matching rule applies.
    package var rules: [DryRunRule] = []

    package init() {}

    /// Whether a URI means a dry run, well-formed or not; no libvirt URI begins like this.
    package static func isMeant(by uri: String) -> Bool { uri.hasPrefix("dry-run") }

    /// - Throws: ``ConfigurationError`` with a line for each part that is wrong.
    package init(uri: String) throws(ConfigurationError) {
        guard uri == "dry-run:" || uri.hasPrefix("dry-run:?") else {
            throw ConfigurationError(problems: ["libvirt_uri '\(uri)': a dry run is dry-run: or dry-run:?KEY=VALUE"])
        }
        var problems: [String] = []
        var seen: Set<String> = []
        for part in uri.dropFirst("dry-run:".count).drop(while: { $0 == "?" }).split(separator: "&") {
            let words = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let pair = words.map { $0.removingPercentEncoding ?? String($0) }
            do throws(ConfigurationError) {
                guard pair[0] == "fail" || seen.insert(pair[0]).inserted else {
                    throw ConfigurationError(problems: ["is given twice"])
                }
                try take(key: pair[0], value: pair.count > 1 ? pair[1] : "")
            } catch {
                problems += error.problems.map { "libvirt_uri '\(part)': \($0)" }
            }
        }
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
    }

    private mutating func take(key: String, value: String) throws(ConfigurationError) {
        switch key {
        case "rate":
            guard let rate = Double(value), rate > 0, rate.isFinite else {
                throw ConfigurationError(problems: ["must be a number of MiB/s greater than 0"])
            }
            rateMiBs = rate
        case "size":
            guard let size = Int64(value), (1...1 << 20).contains(size) else {
                throw ConfigurationError(problems: ["must be a number of GiB from 1 to \(1 << 20)"])
            }
            sizeGiB = size
        case "persistent":
            guard value == "yes" || value == "no" else { throw ConfigurationError(problems: ["must be yes or no"]) }
            isPersistent = value == "yes"
        case "domains":
            guard !value.isEmpty else { throw ConfigurationError(problems: ["must name a file"]) }
            domainsFile = value
        case "fail": rules.append(try DryRunRule(parsing: value))
        default:
            throw ConfigurationError(problems: ["unknown; known are rate, size, persistent, domains, fail"])
        }
    }
}
