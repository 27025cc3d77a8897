import VolumeSwap

/// What libvirt and QEMU can do, for an operator: at most 80 columns, but for a long name of a domain.
struct FeatureTable {
    private let features: HypervisorFeatures

    init(_ features: HypervisorFeatures) { self.features = features }

    var lines: [String] {
        let rows = HypervisorFeature.allCases.map { feature in
            let answer = features[feature]
            return Self.row(
                feature.title, answer.isSupported.map { $0 ? "yes" : "no" } ?? "unknown",
                answer.basis.map(Self.word) ?? "-", feature.without)
        }
        return [Self.row("FEATURE", "HERE", "BY", "WITHOUT IT")] + rows + [note]
    }

    /// Whose QEMU it is.
    private var note: String {
        if let domain = features.domain { return "QEMU: as asked of domain \(domain.name); others may run an older one" }
        return features[.blockdevReopen].basis == .configuration
            ? "QEMU: not asked, allow_monitor_commands is false"
            : "QEMU: no running domain to ask, so by the version of the installed one"
    }

    private static func word(_ basis: HypervisorFeatures.Basis) -> String {
        switch basis {
        case .asked: "asking"
        case .version: "version"
        case .configuration: "setting"
        case .simulated: "-"
        }
    }

    private static func row(_ title: String, _ here: String, _ basis: String, _ without: String) -> String {
        let cells = zip([title, here, basis], [19, 7, 7]).map { cell, width in
            cell + String(repeating: " ", count: max(0, width - cell.count))
        }
        return (cells + [without]).joined(separator: "  ")
    }
}
