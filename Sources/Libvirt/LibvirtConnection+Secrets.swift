import CLibvirt

extension LibvirtConnection {
    /// Looks a secret up by what it is for (`virSecretLookupByUsage`), for example a volume's id.
    ///
    /// - Throws: `isNoSecret`; `isUnsupported` where the driver has no secrets.
    package func secret(usageType: LibvirtSecret.UsageType, usage: String) async throws(LibvirtError) -> LibvirtSecret {
        try await secret { unsafe virSecretLookupByUsage($0, usageType.rawValue, usage) }
    }

    /// Looks a secret up by its UUID (`virSecretLookupByUUIDString`).
    package func secret(uuid: String) async throws(LibvirtError) -> LibvirtSecret {
        try await secret { unsafe virSecretLookupByUUIDString($0, uuid) }
    }

    /// Defines a secret without a value, or changes a present one (`virSecretDefineXML`).
    package func defineSecret(xml: String) async throws(LibvirtError) -> LibvirtSecret {
        try await secret { unsafe virSecretDefineXML($0, xml, 0) }
    }

    @safe private func secret(
        _ find: @escaping @Sendable (OpaquePointer) -> OpaquePointer?
    ) async throws(LibvirtError) -> LibvirtSecret {
        let handle = handle
        return try await handle.call { (connection) throws(LibvirtError) in
            guard let pointer = unsafe find(connection) else { throw LibvirtError.last() }
            return LibvirtSecret(owning: pointer, connection: handle)
        }
    }
}
