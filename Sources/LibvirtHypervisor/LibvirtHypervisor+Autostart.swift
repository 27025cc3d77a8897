import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    package func isAutostarted(_ domain: DomainIdentity) async throws(HypervisorError) -> Bool {
        try await reading(domain, "getAutostart") { (domain) throws(LibvirtError) in try await domain.isAutostarted() }
    }

    package func setAutostart(_ domain: DomainIdentity) async throws(HypervisorError) {
        try await writing(domain, "setAutostart") { (domain) throws(LibvirtError) in try await domain.setAutostart(true) }
    }
}
