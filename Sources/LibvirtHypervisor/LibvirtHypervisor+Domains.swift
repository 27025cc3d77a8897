import Basics
import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// Domains read concurrently: fewer than libvirtd handles per connection.
    private static let readers = 4

    /// `virConnectListAllDomains`, then `virDomainGetXMLDesc` for each. Skips domains that have disappeared meanwhile.
    package func domains() async throws(HypervisorError) -> [DomainDescription] {
        let (active, stored) = try await read("listAllDomains") { (connection) throws(LibvirtError) in
            (try await connection.domains(active: true), try await connection.domains(persistent: true))
        }
        let views = active.map { (domain: $0, view: XMLView.live) } + stored.map { (domain: $0, view: XMLView.inactive) }
        do {
            return try await concurrentMap(views, limit: Self.readers) { [self] domain, view in
                try await describeIfThere(DomainIdentity(uuid: domain.uuid, name: domain.name), view)
            }.compactMap(\.self)
        } catch let error as HypervisorError {
            throw error
        } catch {
            throw HypervisorError(.other, "\(error)")
        }
    }

    /// A domain's live or stored configuration; nil if it has disappeared since it was listed.
    private func describeIfThere(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> DomainDescription? {
        do {
            var description = try await describe(domain, view)
            description.isLive = view == .live
            return description
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
