import LibvirtHypervisor
import Observability

/// What `/readyz` says of libvirt.
enum LibvirtHealth {
    static func verdict(_ choice: HypervisorChoice) -> HealthCheck {
        guard let link = choice.link else { return HealthCheck("libvirt", ok: true, detail: "dry-run") }
        guard link.isConnected else { return HealthCheck("libvirt", ok: false, detail: link.lastError ?? "not connected") }
        // One hung guest keeps nobody else's swap waiting, so this is no reason not to be ready.
        let hung = choice.hungDomains.map { "\($0.name) (\($0.call), \($0.since.duration(to: .now).components.seconds) s)" }
        return HealthCheck(
            "libvirt", ok: true, detail: hung.isEmpty ? "" : "domains that do not answer: \(hung.joined(separator: ", "))")
    }
}
