package import JSON
import SwapBus
import VolumeSwap

/// What ``Doctor`` found.
package struct DoctorReport: Sendable {
    /// One for each check.
    package let findings: [Finding]
    /// What libvirt and QEMU can do; nil if they were not asked. It fails no check.
    let features: HypervisorFeatures?

    package init(_ findings: [Finding]) { self.init(findings, nil) }

    init(_ findings: [Finding], _ features: HypervisorFeatures?) {
        self.findings = findings
        self.features = features
    }

    /// Whether a worker can do its work.
    package var isHealthy: Bool { !findings.contains { $0.status == .failure } }

    /// A line for each check, then the lines of the table of features after an empty one.
    package var lines: [String] { findings.map(\.line) + (features.map { [""] + FeatureTable($0).lines } ?? []) }

    /// `{"healthy": …, "checks": […], "features": …}`
    package var json: JSONValue {
        [
            "healthy": .bool(isHealthy), "checks": .array(findings.map(\.json)), "features": features?.json ?? .null,
        ]
    }
}
