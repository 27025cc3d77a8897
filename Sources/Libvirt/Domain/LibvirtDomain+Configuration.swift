import CLibvirt

extension LibvirtDomain {
    /// The configuration as XML (`virDomainGetXMLDesc`); the live one of an active domain unless `inactive` is given.
    ///
    /// With `secure` it contains passwords, for example for graphics, and must not be logged.
    package func xml(inactive: Bool = false, secure: Bool = false) async throws(LibvirtError) -> String {
        try await call { (domain) throws(LibvirtError) in try Self.xml(domain, inactive: inactive, secure: secure) }
    }

    @safe static func xml(_ domain: OpaquePointer, inactive: Bool, secure: Bool) throws(LibvirtError) -> String {
        let flags = (inactive ? VIR_DOMAIN_XML_INACTIVE.rawValue : 0) | (secure ? VIR_DOMAIN_XML_SECURE.rawValue : 0)
        return try takeString(unsafe virDomainGetXMLDesc(domain, flags))
    }

    /// Removes the stored configuration; an active domain becomes transient (`virDomainUndefineFlags`).
    ///
    /// - Parameters:
    ///   - keepsNVRAM: Keeps the UEFI variables file.
    ///   - keepsTPM: Keeps a vTPM's state; only if libvirt knows `LibvirtFlag.undefineKeepTPM`; else it refuses.
    package func undefine(keepsNVRAM: Bool = false, keepsTPM: Bool = false) async throws(LibvirtError) {
        let flags =
            (keepsNVRAM ? VIR_DOMAIN_UNDEFINE_KEEP_NVRAM.rawValue : 0) | (keepsTPM ? VIR_DOMAIN_UNDEFINE_KEEP_TPM.rawValue : 0)
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainUndefineFlags(domain, flags)) }
    }

    /// Whether the domain has a managed save image.
    package func hasManagedSaveImage() async throws(LibvirtError) -> Bool {
        try await call { (domain) throws(LibvirtError) in try check(unsafe virDomainHasManagedSaveImage(domain, 0)) == 1 }
    }

    /// The number of the domain's snapshots known to libvirt.
    package func snapshotCount() async throws(LibvirtError) -> Int {
        try await call { (domain) throws(LibvirtError) in Int(try check(unsafe virDomainSnapshotNum(domain, 0))) }
    }

    /// The number of the domain's checkpoints known to libvirt.
    package func checkpointCount() async throws(LibvirtError) -> Int {
        try await call { (domain) throws(LibvirtError) in
            Int(try check(unsafe virDomainListAllCheckpoints(domain, nil, 0)))
        }
    }

    /// Sets or, with nil, removes the metadata element of a namespace on the running domain (`virDomainSetMetadata`).
    ///
    /// - Parameters:
    ///   - element: The XML of one element, without a prefix.
    ///   - key: The prefix under which libvirt stores it.
    ///   - uri: The namespace.
    ///   - isStored: In the stored configuration instead of the running domain.
    package func setMetadata(
        _ element: String?, key: String, uri: String, isStored: Bool = false
    ) async throws(LibvirtError) {
        let flags = isStored ? VIR_DOMAIN_AFFECT_CONFIG : VIR_DOMAIN_AFFECT_LIVE
        try await call { (domain) throws(LibvirtError) in
            _ = try check(
                unsafe virDomainSetMetadata(
                    domain, Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue), element, key, uri, flags.rawValue))
        }
    }

    /// The metadata element of a namespace on the running domain (`virDomainGetMetadata`); nil if there is none.
    package func metadata(uri: String) async throws(LibvirtError) -> String? {
        try await call { (domain) throws(LibvirtError) in
            do throws(LibvirtError) {
                return try takeString(
                    unsafe virDomainGetMetadata(
                        domain, Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue), uri, VIR_DOMAIN_AFFECT_LIVE.rawValue))
            } catch {
                guard error.isNoDomainMetadata else { throw error }
                return nil
            }
        }
    }
}
