import LibvirtHypervisor
import Observability

extension HealthCheck {
    /// Above this, requests cannot be accepted while a caller still waits.
    private static let commitLimit = Duration.seconds(5)

    /// The journal's check in `/readyz`.
    static func journal(oldestWait: Duration) -> HealthCheck {
        guard oldestWait > commitLimit else { return HealthCheck("journal", ok: true) }
        return HealthCheck(
            "journal", ok: false,
            detail: "the disk does not respond: a commit has waited for \(oldestWait.components.seconds) s")
    }

    /// libvirt's check in `/readyz`.
    static func libvirt(_ choice: HypervisorChoice) -> HealthCheck {
        guard let link = choice.link else { return HealthCheck("libvirt", ok: true, detail: "dry-run") }
        guard link.isConnected else { return HealthCheck("libvirt", ok: false, detail: link.lastError ?? "not connected") }
        // A hung guest does not affect the others' swaps, so the worker is still ready.
        let hung = choice.hungDomains.map {
            "\($0.name) (\($0.call), \($0.since.duration(to: .now).components.seconds) s)"
        }
        return HealthCheck(
            "libvirt", ok: true, detail: hung.isEmpty ? "" : "domains that do not respond: \(hung.joined(separator: ", "))")
    }
}
