/// What libvirt and QEMU can do here, and how each answer was found.
package struct HypervisorFeatures: Sendable, Hashable {
    /// How an answer was found.
    package enum Basis: String, Sendable, Hashable, CaseIterable {
        /// libvirt, or the QEMU of a running domain, was asked.
        case asked
        /// The version says so: it cannot be asked, or there was nobody to ask.
        case version
        /// The configuration forbids it: `allow_monitor_commands` is false.
        case configuration
        /// The hypervisor is simulated.
        case simulated
    }

    /// Whether a feature is there; both are nil if that is not known.
    package struct Answer: Sendable, Hashable {
        package var isSupported: Bool?
        package var basis: Basis?

        package init(_ isSupported: Bool? = nil, _ basis: Basis? = nil) {
            self.isSupported = isSupported
            self.basis = basis
        }
    }

    /// The domain whose QEMU was asked; another domain's may be older or newer.
    package var domain: DomainIdentity?
    private var answers: [HypervisorFeature: Answer] = [:]

    /// Nothing is known.
    package init() {}

    /// What is to be expected of these versions (see ``HypervisorFeature/isIn(_:)``); nothing of a version that is nil.
    package init(libvirt: UInt?, qemu: UInt?) {
        for feature in HypervisorFeature.allCases {
            guard let version = feature.program == .libvirt ? libvirt : qemu else { continue }
            answers[feature] = Answer(feature.isIn(version), .version)
        }
    }

    package subscript(feature: HypervisorFeature) -> Answer { answers[feature] ?? Answer() }

    /// Whether volumes can grow while they are moved, as far as is known.
    package var growSupport: GrowSupport {
        let reopen = self[.blockdevReopen]
        if reopen.isSupported == true { return .supported }
        return reopen.basis == .configuration ? .withoutMonitor : .withoutReopen
    }

    /// Replaces what is known of these features.
    package mutating func learn(_ supported: [HypervisorFeature: Bool], _ basis: Basis) {
        for (feature, isSupported) in supported { answers[feature] = Answer(isSupported, basis) }
    }

    /// Everything, as a simulated hypervisor has it.
    package static let simulated: HypervisorFeatures = {
        var features = HypervisorFeatures()
        for feature in HypervisorFeature.allCases { features.learn([feature: true], .simulated) }
        return features
    }()
}
