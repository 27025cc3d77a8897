import LibvirtHypervisor
import Observability

extension HealthCheck {
    /// Above this nothing can be accepted in a time that a caller would wait.
    private static let commitLimit = Duration.seconds(5)

    /// What `/readyz` says of the journal.
    static func journal(oldestWait: Duration) -> HealthCheck {
        guard oldestWait > commitLimit else { return HealthCheck("journal", ok: true) }
        return HealthCheck(
            "journal", ok: false,
            detail: "the disk does not answer: a commit has waited for \(oldestWait.components.seconds) s")
    }

    /// What `/readyz` says of libvirt.
    static func libvirt(_ choice: HypervisorChoice) -> HealthCheck {
        guard let link = choice.link else { return HealthCheck("libvirt", ok: true, detail: "dry-run") }
        guard link.isConnected else { return HealthCheck("libvirt", ok: false, detail: link.lastError ?? "not connected") }
        // One hung guest keeps nobody else's swap waiting, so this is no reason not to be ready.
        let hung = choice.hungDomains.map {
            "\($0.name) (\($0.call), \($0.since.duration(to: .now).components.seconds) s)"
        }
        return HealthCheck(
            "libvirt", ok: true, detail: hung.isEmpty ? "" : "domains that do not answer: \(hung.joined(separator: ", "))")
    }
}
