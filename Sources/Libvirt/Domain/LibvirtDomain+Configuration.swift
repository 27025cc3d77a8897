import CLibvirt

extension LibvirtDomain {
    /// The configuration as XML (`virDomainGetXMLDesc`); the live one of an active domain unless `inactive` is given.
    ///
    /// With `secure` it contains passwords, for example for graphics, and must not be logged.
    package func xml(flags: DomainXMLFlags = []) async throws(LibvirtError) -> String {
        try await call { (domain) throws(LibvirtError) in
            try takeString(unsafe virDomainGetXMLDesc(domain, flags.rawValue))
        }
    }

    /// Removes the stored configuration; an active domain becomes transient (`virDomainUndefineFlags`).
    ///
    /// - Parameter flags: `keepTPM` only if `LibvirtConnection.supportsKeepTPM()`; an older libvirt refuses it.
    package func undefine(flags: DomainUndefineFlags = []) async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in _ = try check(unsafe virDomainUndefineFlags(domain, flags.rawValue)) }
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

    /// Sets or, with nil, removes the metadata element of a namespace (`virDomainSetMetadata`).
    ///
    /// - Parameters:
    ///   - element: The XML of one element, without a prefix.
    ///   - key: The prefix under which libvirt stores it.
    ///   - uri: The namespace.
    ///   - flags: The live or the stored configuration, or both; none for the current one.
    package func setMetadata(
        _ element: String?, key: String, uri: String, flags: DomainModificationFlags = []
    ) async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in
            _ = try check(
                unsafe virDomainSetMetadata(
                    domain, Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue), element, key, uri, flags.rawValue))
        }
    }

    /// The metadata element of a namespace (`virDomainGetMetadata`); nil if there is none.
    package func metadata(uri: String, flags: DomainModificationFlags = []) async throws(LibvirtError) -> String? {
        try await call { (domain) throws(LibvirtError) in
            do throws(LibvirtError) {
                return try takeString(
                    unsafe virDomainGetMetadata(domain, Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue), uri, flags.rawValue))
            } catch {
                guard error.isNoDomainMetadata else { throw error }
                return nil
            }
        }
    }
}

/// `virDomainXMLFlags`.
package struct DomainXMLFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Includes secrets.
    package static let secure = Self(rawValue: VIR_DOMAIN_XML_SECURE.rawValue)
    /// The stored configuration.
    package static let inactive = Self(rawValue: VIR_DOMAIN_XML_INACTIVE.rawValue)
}

/// `virDomainUndefineFlagsValues`.
package struct DomainUndefineFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Keeps the UEFI variables file.
    package static let keepNVRAM = Self(rawValue: VIR_DOMAIN_UNDEFINE_KEEP_NVRAM.rawValue)
    /// Keeps a vTPM's state.
    package static let keepTPM = Self(rawValue: VIR_DOMAIN_UNDEFINE_KEEP_TPM.rawValue)
}

/// `virDomainModificationImpact`.
package struct DomainModificationFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The running domain.
    package static let live = Self(rawValue: VIR_DOMAIN_AFFECT_LIVE.rawValue)
    /// The stored configuration.
    package static let config = Self(rawValue: VIR_DOMAIN_AFFECT_CONFIG.rawValue)
}
