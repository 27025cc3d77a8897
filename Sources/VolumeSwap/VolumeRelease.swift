/// Lets go of a volume on the host: disconnects it, removes the secret that pivotd made for it. Never while a domain uses it.
struct VolumeRelease {
    let hypervisor: any Hypervisor
    let connector: any VolumeConnector

    /// - Returns: what could not be undone, for the swap's warnings.
    @discardableResult
    func release(_ connection: ConnectionInfo, _ location: VolumeLocation, isConnected: Bool, madeSecret: String?) async
        -> [String]
    {
        guard isConnected || madeSecret != nil else { return [] }
        var remains: [String] = []
        do {
            guard try await !isInUse(location, madeSecret) else { return [] }
            if let madeSecret { try await hypervisor.removeSecret(uuid: madeSecret) }
        } catch {
            remains.append("the secret of \(location) could not be removed: \(error)")
        }
        if isConnected {
            do {
                try await connector.disconnect(connection)
            } catch {
                remains.append("\(location) could not be disconnected: \(error.reason)")
            }
        }
        return remains
    }

    private func isInUse(_ location: VolumeLocation, _ secret: String?) async throws(HypervisorError) -> Bool {
        let comparison = LocationComparison(hypervisor: hypervisor)
        for domain in try await hypervisor.domains() {
            for disk in domain.disks {
                if let secret, disk.secretUUIDs.contains(secret) { return true }
                for used in [disk.location, disk.mirror?.location].compactMap({ $0 })
                where try await comparison.isSame(used, location) {
                    return true
                }
            }
        }
        return false
    }
}
