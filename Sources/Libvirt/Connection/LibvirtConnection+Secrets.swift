import CLibvirt
import Foundation

extension LibvirtConnection {
    /// Looks a secret up by its usage (`virSecretLookupByUsage`), for example a volume's id.
    ///
    /// - Throws: ``LibvirtError``: `isNoSecret`; `isUnsupported` if the driver has no secrets.
    package func secret(usageType: LibvirtSecret.UsageType, usage: String) async throws(LibvirtError) -> LibvirtSecret {
        try await secret { unsafe virSecretLookupByUsage($0, usageType.rawValue, usage) }
    }

    /// Looks a secret up by its UUID (`virSecretLookupByUUIDString`).
    ///
    /// - Throws: ``LibvirtError``: `isNoSecret`; `isUnsupported` if the driver has no secrets.
    package func secret(uuid: String) async throws(LibvirtError) -> LibvirtSecret {
        try await secret { unsafe virSecretLookupByUUIDString($0, uuid) }
    }

    /// Defines a secret without a value, or changes an existing one (`virSecretDefineXML`).
    ///
    /// - Throws: ``LibvirtError``: `isUnsupported` for an ephemeral secret if the driver cannot have them (`canUndefineSecrets`).
    package func defineSecret(xml: String) async throws(LibvirtError) -> LibvirtSecret {
        let ephemeral = xml.contains("ephemeral='yes'") || xml.contains("ephemeral=\"yes\"")
        guard canUndefineSecrets || !ephemeral else { throw LibvirtError.embeddedSecrets("ephemeral secrets") }
        return try await secret { unsafe virSecretDefineXML($0, xml, 0) }
    }

    /// Whether secrets can be undefined or be ephemeral.
    ///
    /// The embedded secret driver of libvirt 9.0 calls a shutdown inhibitor that only a daemon has, which would crash the
    /// process. If this is false, `LibvirtSecret.undefine` clears the value and leaves the definition.
    package var canUndefineSecrets: Bool {
        !Self.isEmbedded(uri) || Self.clientVersion() >= 11_001_000
    }

    /// The version of the libvirt library in this process, as 1,000,000 × major + 1,000 × minor + release.
    package static func clientVersion() -> UInt {
        var version: UInt = 0
        _ = unsafe virGetVersion(&version, nil, nil)
        return version
    }

    static func isEmbedded(_ uri: String) -> Bool {
        URLComponents(string: uri)?.path == "/embed"
    }

    /// The URI of the embedded secret driver for an embedded hypervisor driver, which has no secrets itself.
    static func embeddedSecretURI(for uri: String) -> String? {
        guard isEmbedded(uri), var components = URLComponents(string: uri), components.scheme != "secret" else { return nil }
        components.scheme = "secret"
        return components.string
    }

    @safe private func secret(
        _ find: @escaping @Sendable (OpaquePointer) -> OpaquePointer?
    ) async throws(LibvirtError) -> LibvirtSecret {
        let handle = secrets
        let removable = canUndefineSecrets
        return try await handle.call { (connection) throws(LibvirtError) in
            guard let pointer = unsafe find(connection) else { throw LibvirtError.last() }
            return LibvirtSecret(owning: pointer, connection: handle, removable: removable)
        }
    }
}

extension LibvirtError {
    fileprivate static func embeddedSecrets(_ what: String) -> LibvirtError {
        LibvirtError(
            code: Int32(VIR_ERR_OPERATION_UNSUPPORTED.rawValue), domain: Int32(VIR_FROM_SECRET.rawValue),
            message: "\(what) are not possible with this version of libvirt's embedded driver")
    }
}
