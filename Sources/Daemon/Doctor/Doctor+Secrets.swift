import AMQP
import Foundation
import Settings

extension Doctor {
    /// Checks the permissions of the configuration file, which may hold the broker's password.
    func configurationFile() -> [Finding] {
        let name = "configuration"
        guard let status = FileStatus(file) else {
            return [.ok(name, "\(file) does not exist: defaults, environment and flags apply")]
        }
        guard status.permissions & 0o022 == 0 else {
            return [.warning(name, "\(file) may be changed by other users", remedy: "chmod go-w \(file)")]
        }
        guard status.permissions & 0o004 != 0, holdsSecret else { return [.ok(name, file)] }
        return [
            .warning(
                name, "\(file) holds the broker's password and is readable by everybody",
                remedy: "chmod 0640 \(file), or keep the password in transport_url_file")
        ]
    }

    private var holdsSecret: Bool {
        // It was read before; if it is gone now, assume the worst.
        guard let yaml = try? String(contentsOfFile: file, encoding: .utf8), let content = try? ConfigurationFile(yaml: yaml)
        else {
            return true
        }
        return content.entries.contains { PivotdConfiguration.key($0.name)?.isSecret ?? false }
    }

    /// Files with a secret of the connection to the broker, or with what the broker is verified by.
    func brokerFiles() -> [Finding] {
        var findings: [Finding] = []
        // A file that applies has been read; another URL may apply instead.
        if let path = transportURLFile, FileStatus(path) != nil {
            findings.append(Self.checked("transport_url_file", path, isSecret: true))
        }
        guard let tls = try? configuration.bus.amqpConfiguration(name: "pivotd doctor").tls else { return findings }
        let files = [("ssl_ca_file", tls.caFile), ("ssl_cert_file", tls.certFile), ("ssl_key_file", tls.keyFile)]
        for (name, path) in files {
            if let path { findings.append(Self.checked(name, path, isSecret: name == "ssl_key_file")) }
        }
        return findings
    }

    private var transportURLFile: String? {
        let directory = ProcessInfo.processInfo.environment["CREDENTIALS_DIRECTORY"]
        return configuration.bus.transportURLFile.map { PivotdConfiguration.transportURLPath($0, directory: directory) }
    }

    static func checked(_ name: String, _ path: String, isSecret: Bool) -> Finding {
        guard let status = FileStatus(path) else {
            return .failure(name, "\(path) does not exist", remedy: "create it, or set \(name) to its location")
        }
        guard !status.isDirectory, FileStatus.isReadable(path) else {
            return .failure(
                name, "\(path) cannot be read by user \(geteuid())", remedy: "give it to that user: chown \(geteuid()) \(path)")
        }
        guard status.permissions & 0o022 == 0 else {
            return .warning(name, "\(path) may be changed by other users", remedy: "chmod go-w \(path)")
        }
        guard !isSecret || status.permissions & 0o004 == 0 else {
            return .warning(name, "\(path) is secret but readable by everybody", remedy: "chmod 0600 \(path)")
        }
        return .ok(name, path)
    }
}
