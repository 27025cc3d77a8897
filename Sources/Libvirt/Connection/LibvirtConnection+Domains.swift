import CLibvirt
import Foundation
import Synchronization

extension LibvirtConnection {
    /// Looks a domain up by its UUID (`virDomainLookupByUUIDString`).
    ///
    /// - Throws: ``LibvirtError``: `isNoDomain`; `VIR_ERR_INVALID_ARG` if the string is not a UUID.
    package func domain(uuid: String) async throws(LibvirtError) -> LibvirtDomain {
        try await domain { unsafe virDomainLookupByUUIDString($0, uuid) }
    }

    /// A domain's handle, looked up the first time. libvirt finds the domain by its UUID in every call, so a handle serves as long as the
    /// connection does; only its `id` may be that of an earlier guest.
    ///
    /// - Throws: ``LibvirtError`` like ``domain(uuid:)``.
    package func knownDomain(uuid: String) async throws(LibvirtError) -> LibvirtDomain {
        if let known = knownDomains.withLock({ $0[uuid] }) { return known }
        let domain = try await domain(uuid: uuid)
        guard closeReason == nil else { return domain }
        knownDomains.withLock { known in
            if known.count >= Self.mostKnownDomains { known = [:] }
            known[uuid] = domain
        }
        return domain
    }

    private static let mostKnownDomains = 4096

    /// Looks a domain up by its name (`virDomainLookupByName`).
    ///
    /// - Throws: ``LibvirtError``: `isNoDomain`.
    package func domain(name: String) async throws(LibvirtError) -> LibvirtDomain {
        try await domain { unsafe virDomainLookupByName($0, name) }
    }

    /// Lists all domains, or only active or inactive, persistent or transient ones (`virConnectListAllDomains`).
    package func domains(active: Bool? = nil, persistent: Bool? = nil) async throws(LibvirtError) -> [LibvirtDomain] {
        var flags: UInt32 = 0
        if let active {
            flags |= active ? VIR_CONNECT_LIST_DOMAINS_ACTIVE.rawValue : VIR_CONNECT_LIST_DOMAINS_INACTIVE.rawValue
        }
        if let persistent {
            flags |= persistent ? VIR_CONNECT_LIST_DOMAINS_PERSISTENT.rawValue : VIR_CONNECT_LIST_DOMAINS_TRANSIENT.rawValue
        }
        let given = flags
        let handle = handle
        return try await handle.call { (connection) throws(LibvirtError) in
            var list: UnsafeMutablePointer<virDomainPtr?>?
            let count = try check(unsafe virConnectListAllDomains(connection, &list, given))
            guard let list = unsafe list else { return [] }
            defer { unsafe free(list) }
            return unsafe UnsafeBufferPointer(start: list, count: Int(count)).compactMap { pointer in
                unsafe pointer.map { LibvirtDomain(owning: $0, connection: handle) }
            }
        }
    }

    /// Defines a persistent domain, or changes an existing one's stored configuration (`virDomainDefineXMLFlags`).
    package func defineDomain(xml: String) async throws(LibvirtError) -> LibvirtDomain {
        try await domain { unsafe virDomainDefineXMLFlags($0, xml, 0) }
    }

    /// Starts a transient domain (`virDomainCreateXML`).
    package func createDomain(xml: String) async throws(LibvirtError) -> LibvirtDomain {
        try await domain { unsafe virDomainCreateXML($0, xml, 0) }
    }

    @safe private func domain(
        _ find: @escaping @Sendable (OpaquePointer) -> OpaquePointer?
    ) async throws(LibvirtError) -> LibvirtDomain {
        let handle = handle
        return try await handle.call { (connection) throws(LibvirtError) in
            guard let pointer = unsafe find(connection) else { throw LibvirtError.last() }
            return LibvirtDomain(owning: pointer, connection: handle)
        }
    }
}
