import Libvirt
import Logging
package import VolumeSwap

extension LibvirtHypervisor {
    /// Running domains whose QEMU is asked until one answers.
    private static let domainsAsked = 2
    /// How long a domain may take for each answer.
    private static let answerLimit = Duration.seconds(10)

    /// Asks libvirt by ``LibvirtConnection/knownFlags()`` and a running domain's QEMU by its monitor; goes by the versions where
    /// there is nobody to ask.
    ///
    /// libvirt probes QEMU for its version, which takes seconds the first time.
    package func features() async throws(HypervisorError) -> HypervisorFeatures {
        let versions = try await read("getVersion") { (connection) throws(LibvirtError) in
            (libvirt: try await connection.libraryVersion(), qemu: try await connection.hypervisorVersion())
        }
        var features = HypervisorFeatures(libvirt: versions.libvirt, qemu: versions.qemu)
        features.learn(FeatureAnswers.libvirt(try await knownFlags()), .asked)
        guard allowsMonitorCommands else {
            features.learn(FeatureAnswers.withoutMonitor, .configuration)
            return features
        }
        guard let asked = try await askQEMU() else { return features }
        features.learn(asked.supported, .asked)
        features.domain = asked.guest.domain
        return features
    }

    package func keepsTPMState() async throws(HypervisorError) -> Bool { try await libvirtHas(.keepTPM) }

    /// Involves no QEMU, unlike ``features()``.
    func libvirtHas(_ feature: HypervisorFeature) async throws(HypervisorError) -> Bool {
        if let isKnown = FeatureAnswers.libvirt(try await knownFlags())[feature] { return isKnown }
        let version = try await read("getLibVersion") { (connection) throws(LibvirtError) in
            try await connection.libraryVersion()
        }
        return feature.isIn(version)
    }

    private func knownFlags() async throws(HypervisorError) -> [LibvirtFlag: Bool] {
        try await read("knownFlags") { (connection) throws(LibvirtError) in try await connection.knownFlags() }
    }

    /// Asks a running domain, or none if the one that was asked last still runs.
    ///
    /// - Returns: nil if no domain runs, or none of those asked answers.
    private func askQEMU() async throws(HypervisorError) -> QEMUAnswer? {
        let running = try await read("listAllDomains") { (connection) throws(LibvirtError) in
            try await connection.domains(active: true).map { RunningGuest($0, connection) }
        }
        if let last = lastAnswer.known, running.contains(last.guest) { return last }
        let hung = Set(hungDomains.map(\.name))
        for guest in running.lazy.filter({ !hung.contains($0.domain.name) }).prefix(Self.domainsAsked) {
            do throws(HypervisorError) {
                let commands = try await monitor(guest.domain, .queryCommands, within: Self.answerLimit)
                let schema = try await monitor(guest.domain, .querySchema, within: Self.answerLimit)
                let version = try await monitor(guest.domain, .queryVersion, within: Self.answerLimit)
                let supported = FeatureAnswers.qemu(commands: commands, schema: schema, version: version)
                let answer = QEMUAnswer(guest: guest, supported: supported)
                lastAnswer.known = answer
                return answer
            } catch {
                logger.info(
                    "domain \(guest.domain.name) does not say what its QEMU can do: \(error.message)",
                    metadata: ["instance": "\(guest.domain.uuid)"])
            }
        }
        return nil
    }
}
