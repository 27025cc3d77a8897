/// Defines a domain again from its saved definition, with what was plugged and unplugged meanwhile.
struct DefinitionRestorer {
    /// The saved definition.
    let savedXML: String
    /// The running domain's devices when it was undefined; nil if they were not recorded.
    let known: [String]?
    /// The swap's own disk.
    let disk: String
    /// The running domain; nil if it has stopped.
    let liveXML: String?

    /// What to try in turn. A definition that libvirt refuses for the sake of a device is worse than one without the device.
    private static let attempts: [Set<String>?] = [nil, ["disk", "interface"], []]

    /// - Parameter define: finishes the definition, and defines the domain with it.
    /// - Returns: warnings of what is not in the definition.
    func restore(_ define: (String) async throws -> Void) async throws -> [String] {
        guard let known, let liveXML else {
            try await define(savedXML)
            return []
        }
        let taken = try Self.attempts.map { kinds in
            try DomainXML.takingDevices(savedXML, known: known, of: disk, from: liveXML, only: kinds)
        }
        return try await restore(taken, define)
    }

    private func restore(_ taken: [DomainXML.TakenDevices], _ define: (String) async throws -> Void) async throws -> [String] {
        var refusal: HypervisorError?
        for (index, candidate) in taken.enumerated() where index == 0 || candidate.changes != taken[index - 1].changes {
            do {
                try await define(candidate.xml)
                return taken[0].warnings + Self.lost(taken[0], candidate, refusal)
            } catch let error as HypervisorError where !error.isPassing {
                refusal = refusal ?? error
            }
        }
        throw refusal ?? HypervisorError(.other, "there is no definition to restore")
    }

    private static func lost(
        _ wanted: DomainXML.TakenDevices, _ accepted: DomainXML.TakenDevices, _ refusal: HypervisorError?
    ) -> [String] {
        guard let refusal else { return [] }
        let lost = wanted.changes.filter { !accepted.changes.contains($0) }.joined(separator: ", ")
        return ["libvirt refused a stored configuration with what changed in the running domain (\(lost)): \(refusal)"]
    }
}
