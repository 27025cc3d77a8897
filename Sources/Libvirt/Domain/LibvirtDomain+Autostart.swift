import CLibvirt

extension LibvirtDomain {
    /// Whether the domain starts with the host (`virDomainGetAutostart`).
    package func isAutostarted() async throws(LibvirtError) -> Bool {
        try await call { (domain) throws(LibvirtError) in
            var autostart: Int32 = 0
            try check(unsafe virDomainGetAutostart(domain, &autostart))
            return autostart == 1
        }
    }

    /// Sets whether a persistent domain starts with the host (`virDomainSetAutostart`).
    package func setAutostart(_ autostart: Bool) async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainSetAutostart(domain, autostart ? 1 : 0)) }
    }
}
