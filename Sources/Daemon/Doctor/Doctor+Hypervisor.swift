import DryRun
import Foundation
import Libvirt
import Settings
import VolumeSwap

extension Doctor {
    /// The minimum libvirt: 3.5 introduced `virDomainBlockCopy` with `TRANSIENT_JOB`.
    private static let leastLibvirt: UInt = 3_005_000
    /// Growing a volume needs `blockdev-reopen`, stable since QEMU 7.0.
    private static let growingQEMU: UInt = 7_000_000

    /// libvirt and the hypervisor behind it.
    func hypervisor() async -> [Finding] {
        let uri = configuration.hypervisor.libvirtURI
        guard !DryRunOptions.isMeant(by: uri) else { return [dryRun(uri)] }
        if let root = Self.embeddedRoot(uri) { return [embedded(uri, root)] }
        do {
            let connection = try await LibvirtConnection.open(uri: uri, logger: logger)
            let findings = await versions(connection)
            await connection.close()
            return findings
        } catch {
            return [
                .failure(
                    "libvirt", "\(uri): \(error.message)",
                    remedy: "check libvirt_uri, that libvirtd is running, and that user \(geteuid()) may use it")
            ]
        }
    }

    private func dryRun(_ uri: String) -> Finding {
        do {
            _ = try DryRunOptions(uri: uri)
        } catch {
            return .failure("libvirt", error.problems.joined(separator: "; "), remedy: "correct libvirt_uri")
        }
        return .ok("libvirt", "\(uri) is a simulated hypervisor: no volume is moved")
    }

    /// Opening an embedded driver would start its guests, and only one process may open it.
    private func embedded(_ uri: String, _ root: String) -> Finding {
        guard FileStatus.isWritable(root) else {
            return .failure(
                "libvirt", "\(uri): \(root) cannot be written", remedy: "create it, owned by the user that runs pivotd")
        }
        return .ok("libvirt", "\(uri): embedded; only pivotd run opens it")
    }

    /// `DIR` of `qemu:///embed?root=DIR`
    private static func embeddedRoot(_ uri: String) -> String? {
        guard let components = URLComponents(string: uri), components.path == "/embed" else { return nil }
        return components.queryItems?.first { $0.name == "root" }?.value
    }

    private func versions(_ connection: LibvirtConnection) async -> [Finding] {
        var findings: [Finding] = []
        do {
            let libvirt = try await connection.libraryVersion()
            findings.append(
                libvirt >= Self.leastLibvirt
                    ? .ok("libvirt", "\(connection.uri), version \(HypervisorVersions.text(libvirt))")
                    : .failure(
                        "libvirt", "version \(HypervisorVersions.text(libvirt)) is too old", remedy: "3.5 or newer is needed"))
            findings.append(qemu(try await connection.hypervisorVersion(), uri: connection.uri))
            let count = try await connection.domains(active: true).count
            findings.append(.ok("domains", "\(count) running"))
        } catch {
            findings.append(.failure("libvirt", error.message, remedy: "check libvirtd's log"))
        }
        return findings
    }

    private func qemu(_ version: UInt, uri: String) -> Finding {
        guard uri.hasPrefix("qemu") else {
            return .failure("qemu", "\(uri) is not QEMU's driver", remedy: "set libvirt_uri to qemu:///system")
        }
        let text = "version \(HypervisorVersions.text(version))"
        guard configuration.hypervisor.allowMonitorCommands else {
            return .warning(
                "qemu", "\(text); allow_monitor_commands is false: volumes cannot grow while they are moved",
                remedy: "set allow_monitor_commands to true")
        }
        guard version >= Self.growingQEMU else {
            return .warning("qemu", "\(text): volumes cannot grow while they are moved", remedy: "use QEMU 7.0 or newer")
        }
        return .ok("qemu", text)
    }
}
