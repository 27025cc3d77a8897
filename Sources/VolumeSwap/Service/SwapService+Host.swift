import Basics
import Logging

/// What the host has and can do.
extension SwapService {
    /// Domains asked at once for their disks' sizes and jobs.
    private static let domainsAtOnce = 8

    /// `get_connector`: the host's connector properties, as os-brick calls them.
    ///
    /// - Throws: ``SwapFailure`` if there is no connector helper, or it fails.
    package func connectorProperties() async throws(SwapFailure) -> ConnectorProperties {
        try await environment.connector.properties()
    }

    /// `get_capabilities`
    ///
    /// - Throws: ``HypervisorError``; ``SwapFailure`` `timedOut` if libvirt does not answer.
    package func capabilities() async throws -> HostCapabilities {
        try await inTime { [environment] in
            let hypervisor = environment.hypervisor
            return HostCapabilities(
                hypervisor: hypervisor.kind, versions: try await hypervisor.versions(),
                keepsTPMState: try await hypervisor.keepsTPMState(), features: try await hypervisor.features(),
                hasConnector: environment.connector.isConfigured)
        }
    }

    /// `list_volumes`: the disks of the host's domains, or of one, running or not; sorted by domain and disk.
    ///
    /// - Throws: ``HypervisorError`` if libvirt does not know the instance; ``SwapFailure`` `timedOut` if it does not answer.
    package func volumes(of instance: InstanceReference?) async throws -> [HostVolume] {
        try await inTime { [self] in try await findVolumes(of: instance) }
    }

    /// Does what needs libvirt's answer, as long as a caller may wait for it.
    private func inTime<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let limit = environment.settings.answerLimit
        let late = SwapFailure.rebaseFailed("libvirt or a domain has not answered within \(limit / .seconds(1)) s", .timedOut)
        return try await environment.clock.within(limit, else: .failure(late)) {
            do { return Result<Value, any Error>.success(try await work()) } catch { return .failure(error) }
        }.get()
    }

    private func findVolumes(of instance: InstanceReference?) async throws -> [HostVolume] {
        let wanted = if let instance { try await environment.hypervisor.lookup(instance).uuid } else { String?.none }
        var domains: [String: DomainDescription] = [:]
        // A running domain's own configuration, not the one stored for its next start.
        for domain in try await environment.hypervisor.domains() where wanted == nil || domain.uuid == wanted {
            if domain.isLive || domains[domain.uuid] == nil { domains[domain.uuid] = domain }
        }
        let sorted = domains.values.sorted { ($0.name, $0.uuid) < ($1.name, $1.uuid) }
        return try await concurrentMap(sorted, limit: Self.domainsAtOnce) { [self] in await volumes(of: $0) }.flatMap(\.self)
    }

    private func volumes(of domain: DomainDescription) async -> [HostVolume] {
        var volumes = domain.disks.compactMap { HostVolume(domain, $0) }.sorted { $0.disk < $1.disk }
        guard domain.isLive else { return volumes }
        for index in volumes.indices {
            let disk = volumes[index]
            do {
                volumes[index].bytes = try await environment.hypervisor.capacity(disk.domain, disk: disk.disk)
                let job = try await environment.hypervisor.blockJobInfo(disk.domain, disk: disk.disk)
                volumes[index].job = job?.type ?? disk.job
            } catch {
                // Each call to a hung guest waits for its whole time limit: one tells enough.
                environment.logger.info(
                    "list_volumes: domain \(domain.name) does not answer: \(error.message)",
                    metadata: ["instance": "\(domain.uuid)", "disk": "\(disk.disk)"])
                break
            }
        }
        return volumes
    }
}

/// What a host and its hypervisor can do.
package struct HostCapabilities: Sendable {
    /// ``Hypervisor/kind``
    package let hypervisor: String
    package let versions: HypervisorVersions
    /// Whether `rebase` works for a domain with a vTPM.
    package let keepsTPMState: Bool
    /// What libvirt and QEMU can do.
    package let features: HypervisorFeatures
    /// Whether volumes can be attached that neither a path nor QEMU reaches.
    package let hasConnector: Bool

    /// The `driver_volume_type`s that pivotd knows by name; any other needs the connector helper.
    package static var drivers: [String] { VolumeDrivers.types }
}
