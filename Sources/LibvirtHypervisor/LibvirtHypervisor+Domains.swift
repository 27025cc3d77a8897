import Basics
import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// Domains read concurrently: fewer than libvirtd handles per connection.
    private static let readers = 4

    private struct Configuration: Sendable {
        let domain: DomainIdentity
        let view: XMLView
        /// nil as long as it has not been read.
        var description: DomainDescription?
    }

    /// `virConnectListAllDomains`, then `virDomainGetXMLDesc` for each. Skips domains that have disappeared meanwhile.
    package func domains() async throws(HypervisorError) -> [DomainDescription] {
        let (active, stored) = try await read("listAllDomains") { (connection) throws(LibvirtError) in
            (try await connection.domains(active: true), try await connection.domains(persistent: true))
        }
        let views = active.map { (domain: $0, view: XMLView.live) } + stored.map { (domain: $0, view: XMLView.inactive) }
        do {
            let first = try await concurrentMap(views, limit: Self.readers) { [self] handle, view in
                let domain = DomainIdentity(uuid: handle.uuid, name: handle.name)
                return try await ifThere(domain) {
                    Configuration(domain: domain, view: view, description: try await describeIfFree(domain, view))
                }
            }.compactMap(\.self)
            // Those of domains that hang may take long, and hold up nobody.
            let late = first.filter { $0.description == nil }
            kept.drop(allBut: Set(late.map(\.domain.uuid)))
            parsed.drop(allBut: Set(first.map(\.domain.uuid)))
            let last = try await concurrentMap(late, limit: late.count) { [self] configuration in
                let (domain, view) = (configuration.domain, configuration.view)
                return try await ifThere(domain) {
                    Configuration(domain: domain, view: view, description: try await describeOccupied(domain, view))
                }
            }.compactMap(\.self)
            return (first + last).compactMap { configuration in
                var description = configuration.description
                description?.isLive = configuration.view == .live
                return description
            }
        } catch let error as HypervisorError {
            throw error
        } catch {
            throw HypervisorError(.other, "\(error)")
        }
    }

    /// - Returns: nil if the domain has disappeared since it was listed.
    private func ifThere(_ domain: DomainIdentity, _ read: () async throws -> Configuration) async throws(HypervisorError)
        -> Configuration?
    {
        do {
            return try await read()
        } catch let failure as SwapFailure {
            throw HypervisorError(.other, "the configuration of domain \(domain.name) cannot be read: \(failure.reason)")
        } catch let error as HypervisorError {
            if error.code == .noDomain { return nil }
            throw HypervisorError(
                error.code, number: error.number, "the configuration of domain \(domain.name) cannot be read: \(error.message)")
        } catch {
            throw HypervisorError(.other, "the configuration of domain \(domain.name) cannot be read: \(error)")
        }
    }
}
