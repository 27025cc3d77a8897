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
    private enum Attempt: CaseIterable {
        case allDevices, disksAndInterfaces
        /// Only what came off, and the places of disks that have moved: a volume that was detached may be another guest's by now.
        case detachments
        case asSaved
    }

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
        let wanted = try candidate(.allDevices, known, liveXML)
        var (tried, refusal): (DomainXML.TakenDevices?, HypervisorError?)
        for attempt in Attempt.allCases {
            let candidate = tried == nil ? wanted : try candidate(attempt, known, liveXML)
            guard candidate.changes != tried?.changes else { continue }
            tried = candidate
            let xml = try await edit(candidate.xml)
            do throws(HypervisorError) {
                try await define(xml)
                return wanted.warnings + Self.lost(wanted, candidate, refusal)
            } catch {
                guard error.mayBeOfContent else { throw error }
                refusal = refusal ?? error
            }
        }
        throw refusal ?? HypervisorError(.other, "there is no definition to restore")
    }

    private func candidate(
        _ attempt: Attempt, _ known: [String], _ liveXML: String
    ) throws(SwapFailure) -> DomainXML.TakenDevices {
        let kinds: DeviceTransfer.Kinds
        switch attempt {
        case .allDevices: kinds = .all
        case .disksAndInterfaces: kinds = .disksAndInterfaces
        case .detachments: kinds = .detachedDisksAndInterfaces
        case .asSaved: return DomainXML.TakenDevices(xml: savedXML)
        }
        return try DomainXML.takingDevices(savedXML, known: known, of: disk, from: liveXML, only: kinds)
    }

    private static func lost(
        _ wanted: DomainXML.TakenDevices, _ accepted: DomainXML.TakenDevices, _ refusal: HypervisorError?
    ) -> [String] {
        guard let refusal else { return [] }
        let lost = wanted.changes.filter { !accepted.changes.contains($0) }.joined(separator: ", ")
        return ["libvirt refused a stored configuration with what changed in the running domain (\(lost)): \(refusal)"]
    }
}
