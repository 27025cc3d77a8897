import Basics
import DryRun
import Foundation
import Libvirt
import LibvirtHypervisor
import Settings
import VolumeSwap

extension Doctor {
    /// For all answers about features.
    private static let featureTimeout = Duration.seconds(60)

    /// libvirt and the hypervisor behind it; what they can do, if they could be asked.
    func hypervisor() async -> ([Finding], HypervisorFeatures?) {
        let uri = configuration.hypervisor.libvirtURI
        guard !DryRunOptions.isMeant(by: uri) else { return ([dryRun(uri)], nil) }
        if let root = Self.embeddedRoot(uri) { return ([embedded(uri, root)], nil) }
        do {
            let connection = try await LibvirtConnection.open(uri: uri, logger: logger)
            let answer = await ask(connection)
            await connection.close()
            return answer
        } catch {
            let finding = Finding.failure(
                "libvirt", "\(uri): \(error.message)",
                remedy: "check libvirt_uri, that libvirtd is running, and that user \(geteuid()) may use it")
            return ([finding], nil)
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

    private func ask(_ connection: LibvirtConnection) async -> ([Finding], HypervisorFeatures?) {
        let uri = connection.uri
        do {
            let (libvirt, qemu) = (try await connection.libraryVersion(), try await connection.hypervisorVersion())
            let detail = "\(uri), version \(HypervisorVersions.text(libvirt))"
            let domains = Finding.ok("domains", "\(try await connection.domains(active: true).count) running")
            guard uri.hasPrefix("qemu") else {
                let other = Finding.failure(
                    "qemu", "\(uri) is not QEMU's driver", remedy: "set libvirt_uri to qemu:///system")
                return ([.ok("libvirt", detail), other, domains], nil)
            }
            let features = await features(uri) ?? HypervisorFeatures(libvirt: libvirt, qemu: qemu)
            return ([Self.libvirt(detail, features), Self.qemu(HypervisorVersions.text(qemu), features), domains], features)
        } catch {
            return ([.failure("libvirt", error.message, remedy: "check libvirtd's log")], nil)
        }
    }

    /// Asks as the worker does; nil if that takes too long or libvirt goes away.
    private func features(_ uri: String) async -> HypervisorFeatures? {
        let link = LibvirtLink(uri: uri, logger: logger)
        let hypervisor = LibvirtHypervisor(
            link: link, allowsMonitorCommands: configuration.hypervisor.allowMonitorCommands, logger: logger)
        let limit: @Sendable () async throws -> Void = {
            try await Task.sleep(for: Self.featureTimeout)
            throw CancellationError()
        }
        return try? await alongside([{ @Sendable in await link.run() }, limit]) { try await hypervisor.features() }
    }

    static func libvirt(_ detail: String, _ features: HypervisorFeatures) -> Finding {
        features[.transientJob].isSupported == false
            ? .failure("libvirt", "\(detail), is too old: it cannot copy a running disk", remedy: "use libvirt 3.5 or newer")
            : .ok("libvirt", detail)
    }

    static func qemu(_ version: String, _ features: HypervisorFeatures) -> Finding {
        let detail = "version \(version)"
        let reopen = features[.blockdevReopen]
        guard reopen.isSupported == false else { return .ok("qemu", detail) }
        guard reopen.basis != .configuration else {
            return .warning(
                "qemu", "\(detail); allow_monitor_commands is false: volumes cannot grow while they are moved",
                remedy: "set allow_monitor_commands to true")
        }
        let whose = features.domain.map { ", and domain \($0.name) runs an older one" } ?? ""
        return .warning(
            "qemu", "\(detail)\(whose): volumes cannot grow while they are moved", remedy: "use QEMU 7.0 or newer")
    }
}
