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

    /// - Parameters:
    ///   - edit: finishes a definition.
    ///   - define: defines the domain with it.
    /// - Returns: warnings of what is not in the definition.
    func restore(
        edit: (String) async throws -> String, _ define: (String) async throws(HypervisorError) -> Void
    ) async throws -> [String] {
        guard let known, let liveXML else {
            try await define(try await edit(savedXML))
            return []
        }
        let taken = try Self.attempts.map { kinds in
            try DomainXML.takingDevices(savedXML, known: known, of: disk, from: liveXML, only: kinds)
        }
        var refusal: HypervisorError?
        // Last without the places of disks that have moved.
        for candidate in Self.different(taken + [DomainXML.TakenDevices(xml: savedXML)]) {
            let xml = try await edit(candidate.xml)
            do throws(HypervisorError) {
                try await define(xml)
                return taken[0].warnings + Self.lost(taken[0], candidate, refusal)
            } catch {
                if error.isPassing { throw error }
                refusal = refusal ?? error
            }
        }
        throw refusal ?? HypervisorError(.other, "there is no definition to restore")
    }

    private static func different(_ taken: [DomainXML.TakenDevices]) -> [DomainXML.TakenDevices] {
        taken.indices.filter { $0 == 0 || taken[$0].changes != taken[$0 - 1].changes }.map { taken[$0] }
    }

    private static func lost(
        _ wanted: DomainXML.TakenDevices, _ accepted: DomainXML.TakenDevices, _ refusal: HypervisorError?
    ) -> [String] {
        guard let refusal else { return [] }
        let lost = wanted.changes.filter { !accepted.changes.contains($0) }.joined(separator: ", ")
        return ["libvirt refused a stored configuration with what changed in the running domain (\(lost)): \(refusal)"]
    }
}
