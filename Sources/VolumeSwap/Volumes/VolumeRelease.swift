/// Releases a volume on the host: disconnects it and removes the secret that pivotd made for it. Never while a domain or the host
/// itself uses it.
struct VolumeRelease {
    let hypervisor: any Hypervisor
    let connector: any VolumeConnector
    let strays: StrayGuests

    /// Releases a volume unless a domain or the host itself uses it.
    ///
    /// - Parameters:
    ///   - location: nil or ``VolumeLocation/other(_:)`` if only the connector knows the place; users are then found by id.
    ///   - own: the disk that was moved, which keeps the old volume's id as its serial.
    /// - Returns: what could not be undone, for the swap's warnings and a failure's `left_behind`.
    @discardableResult
    func release(
        _ connection: ConnectionInfo, _ location: VolumeLocation?, isConnected: Bool, madeSecret: String?,
        volumeID: String? = nil,
        except own: VolumeUses.Exemption? = nil
    ) async -> [String] {
        guard isConnected || madeSecret != nil else { return [] }
        let name =
            location?.description ?? "volume \(volumeID ?? connection.volumeID ?? "of type \(connection.driverVolumeType)")"
        let domains: [DomainDescription]
        do {
            domains = try await hypervisor.domains()
        } catch {
            let what = [isConnected ? "\(name) stays connected" : nil, madeSecret == nil ? nil : "its secret is kept"]
            return [
                "\(what.compactMap { $0 }.joined(separator: " and ")), since it could not be determined whether a domain uses it: \(error)"
            ]
        }
        let finding = await uses(of: location, connection, volumeID, in: domains, except: own)
        var remains: [String] = []
        if isConnected, let use = finding.use { remains.append("\(name) stays connected: it is in use as \(use)") }
        if isConnected, finding.use == nil, !finding.doubts.isEmpty {
            remains.append(
                "\(name) stays connected, since it could not be determined whether a domain uses it: \(finding.doubts[0])")
        }
        if let madeSecret, !domains.contains(where: { $0.disks.contains { $0.secretUUIDs.contains(madeSecret) } }) {
            do {
                try await hypervisor.removeSecret(uuid: madeSecret)
            } catch {
                remains.append("the secret of \(name) could not be removed: \(error)")
            }
        }
        if isConnected, finding.use == nil, finding.doubts.isEmpty, let remainder = await disconnect(connection, location, name) {
            remains.append(remainder)
        }
        return remains
    }

    /// Disconnects a volume that no domain uses. A device that the host has mounted would be lost to it: a connector attaches what is
    /// attached already, and detaches it all the same.
    ///
    /// - Returns: why it stays connected; nil if it does not.
    private func disconnect(_ connection: ConnectionInfo, _ location: VolumeLocation?, _ name: String) async -> String? {
        do throws(HypervisorError) {
            if let use = try await hostUse(of: connection, at: location) { return "\(name) stays connected: \(use)" }
        } catch {
            return "\(name) stays connected, since it could not be determined whether the host itself uses it: \(error)"
        }
        do throws(SwapFailure) {
            try await connector.disconnect(connection.at(location?.path))
            return nil
        } catch {
            return "\(name) could not be disconnected: \(error.reason)"
        }
    }

    /// The host's own use of a volume. If its place is not known, of each device that has one of the volume's names.
    private func hostUse(
        of connection: ConnectionInfo, at location: VolumeLocation?
    ) async throws(HypervisorError) -> HostUse? {
        if case .block(let path)? = location { return try await hypervisor.hostUse(path: path) }
        guard location?.isOther ?? true, let driver = connection.driver as? any NetworkVolumeDriver else { return nil }
        let devices = try await HostDevices(hypervisor: hypervisor).find(connection.identity, of: driver)
        if let doubt = devices.doubts.first { throw HypervisorError(.other, doubt) }
        for path in devices.paths {
            if let use = try await hypervisor.hostUse(path: path) { return use }
        }
        return nil
    }

    private func uses(
        of location: VolumeLocation?, _ connection: ConnectionInfo, _ volumeID: String?, in domains: [DomainDescription],
        except own: VolumeUses.Exemption?
    ) async -> VolumeUses.Finding {
        let uses = VolumeUses(hypervisor: hypervisor, domains: domains)
        let ids = [volumeID].compactMap { $0 } + connection.volumeIDs
        var identity = connection.identity
        var finding: VolumeUses.Finding
        if let location, !location.isOther {
            identity = await VolumeIdentifier(hypervisor: hypervisor).identity(of: location).identity
            finding = await uses.find(identity, at: location)
        } else {
            finding = await uses.find(identity, at: nil, ids: ids, except: own)
            if finding.use == nil { finding.doubts += await doubts(identity, in: domains, except: own) }
        }
        if let stray = await stray(on: identity.union(VolumeIdentity(ids: ids))) { finding.doubts.append(stray) }
        // A user's other name may not have been waited for.
        if Task.isCancelled { finding.doubts.append("this was given up") }
        return finding
    }

    /// The moved disk counts, too: QEMU may run it on this volume while libvirt does not know.
    private func stray(on volume: VolumeIdentity) async -> String? {
        do {
            return try await strays.user(of: volume, hypervisor)?.description
        } catch {
            return "\(error)"
        }
    }

    /// Host devices that may be a volume whose place is unknown. A serial does not help, since it keeps the id that the disk had
    /// before a move; only udev's name of a volume shows that a device is a different one.
    private func doubts(
        _ identity: VolumeIdentity, in domains: [DomainDescription], except own: VolumeUses.Exemption?
    ) async -> [String] {
        var users: [VolumeLocation: String] = [:]
        for domain in domains where domain.isLive {
            for disk in domain.disks where !(own?.domain == domain.uuid && own?.disk == disk.target) {
                guard case .block? = disk.location, let place = disk.location else { continue }
                users[place] = "disk \(disk.target) of \(domain.name)"
            }
        }
        let running = VolumeUses(hypervisor: hypervisor, domains: domains.filter(\.isLive))
        for (place, use) in await running.passedThrough().uses where users[place] == nil {
            if case .block = place { users[place] = use.description }
        }
        let answers = await VolumeIdentifier(hypervisor: hypervisor, owner: .another).identities(of: Set(users.keys))
        return answers.compactMap { place, answer in
            answer.identity.contradicts(identity) ? nil : users[place].map { "\($0) is on \(place), which may be this volume" }
        }.sorted()
    }
}
