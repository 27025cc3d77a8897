import Basics
import Foundation

/// All problems of a configuration, found in one pass.
package struct ConfigurationError: Error, Equatable, CustomStringConvertible {
    /// One line each: where the setting was given, what was given, what is allowed.
    package let problems: [String]

    /// - Parameter problems: At least one.
    package init(problems: [String]) { self.problems = problems }

    package var description: String {
        problems.count == 1 ? problems[0] : problems.map { "- \($0)" }.joined(separator: "\n")
    }
}

extension PivotdConfiguration {
    /// The configuration file that is read if none is named; it may be missing.
    package static let defaultFile = "/etc/pivotd/pivotd.yaml"

    /// Merges the layers: flags over environment over file over defaults.
    ///
    /// - Parameters:
    ///   - flags: The flags given, by key (`max_concurrent_swaps`), with `config` for the file.
    ///   - environment: The process's environment. A relative `transport_url_file` is in systemd's `CREDENTIALS_DIRECTORY`.
    ///   - defaultFile: The file that is read if none is named.
    /// - Throws: ``ConfigurationError`` with all problems of all layers.
    package static func load(
        flags: [String: String] = [:], environment: [String: String] = ProcessInfo.processInfo.environment,
        defaultFile: String = PivotdConfiguration.defaultFile
    ) throws(ConfigurationError) -> PivotdConfiguration {
        var problems: [String] = []
        var layers = [ConfigurationLayer(flags: flags), ConfigurationLayer(environment: environment)]
        let named = flags["config"] ?? environment["PIVOTD_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
        do {
            if let file = try fileLayer(named ?? defaultFile, mayBeMissing: named == nil) { layers.append(file) }
        } catch {
            problems += error.problems
        }
        problems += layers.flatMap(\.problems)
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }

        var given = layers.reversed().reduce(into: [:]) { given, layer in given.merge(layer.values) { $1 } }
        if let file = given["transport_url_file"] as? String, !file.isEmpty, fileWins(layers) {
            given["transport_url"] = try transportURL(file: file, directory: environment["CREDENTIALS_DIRECTORY"])
        }
        try check(given)
        return PivotdConfiguration(given: given)
    }

    /// - Throws: ``ConfigurationError`` for keys that contradict each other.
    private static func check(_ given: [String: any Sendable]) throws(ConfigurationError) {
        guard let isSynchronous = given["synchronous_writes"] as? Bool, let convergence = given["convergence"] as? String,
            convergence != "auto", isSynchronous != (convergence == "always")
        else { return }
        throw ConfigurationError(problems: [
            "synchronous_writes \(isSynchronous) contradicts convergence \(convergence): leave one of them out"
        ])
    }

    private static func fileLayer(
        _ path: String, mayBeMissing: Bool
    ) throws(ConfigurationError) -> ConfigurationLayer? {
        let bytes: [UInt8]
        do throws(ReadFailure) {
            bytes = try readAll(path)
        } catch ReadFailure.missing where mayBeMissing {
            return nil
        } catch {
            throw ConfigurationError(problems: ["configuration file \(path): \(error)"])
        }
        guard let yaml = String(bytes: bytes, encoding: .utf8) else {
            throw ConfigurationError(problems: ["configuration file \(path): not UTF-8"])
        }
        do {
            return ConfigurationLayer(file: try ConfigurationFile(yaml: yaml), path: path)
        } catch {
            throw ConfigurationError(problems: ["configuration file \(path): \(error.reason)"])
        }
    }

    /// Whether `transport_url_file` applies: it does unless a stronger layer sets `transport_url` itself.
    private static func fileWins(_ layers: [ConfigurationLayer]) -> Bool {
        let url = layers.firstIndex { $0.values["transport_url"] != nil } ?? layers.endIndex
        let file = layers.firstIndex { $0.values["transport_url_file"] != nil } ?? layers.endIndex
        return file <= url
    }

    /// The path of a `transport_url_file`.
    ///
    /// - Parameter directory: `$CREDENTIALS_DIRECTORY`, for a relative name.
    package static func transportURLPath(_ file: String, directory: String?) -> String {
        guard !file.hasPrefix("/"), let directory, !directory.isEmpty else { return file }
        return "\(directory)/\(file)"
    }

    private static func transportURL(file: String, directory: String?) throws(ConfigurationError) -> Secret {
        let path = transportURLPath(file, directory: directory)
        let bytes: [UInt8]
        do throws(ReadFailure) {
            bytes = try readAll(path)
        } catch {
            throw ConfigurationError(problems: ["transport_url_file \(path): \(error)"])
        }
        guard let text = String(bytes: bytes, encoding: .utf8) else {
            throw ConfigurationError(problems: ["transport_url_file \(path): not UTF-8"])
        }
        let url = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !url.isEmpty else { throw ConfigurationError(problems: ["transport_url_file \(path): is empty"]) }
        return Secret(url)
    }
}
