import CLibvirt
import Synchronization

extension LibvirtConnection {
    /// Which flags the libvirt that serves the connection knows, asked once per connection.
    ///
    /// libvirt has no call for this. It checks a call's flags before it looks at the domain, and names those that it does not
    /// know, so it is asked with calls that also have a flag that no libvirt knows, and nothing is done. Each leaves a line in
    /// libvirt's log.
    ///
    /// - Returns: Without the flags about which libvirt says nothing; empty while there is no domain, running or not, to name in
    ///   the calls.
    package func knownFlags() async throws(LibvirtError) -> [LibvirtFlag: Bool] {
        if let known = flags.withLock({ $0 }) { return known }
        guard let domain = try await domains().first else { return [:] }
        var known = try await domain.knownBlockCopyFlags()
        known.merge(try await domain.knownUndefineFlags()) { $1 }
        flags.withLock { [known] in $0 = known }
        return known
    }
}

extension LibvirtDomain {
    /// Asks with a `virDomainBlockCopy` onto nothing, of a disk that no domain has.
    fileprivate func knownBlockCopyFlags() async throws(LibvirtError) -> [LibvirtFlag: Bool] {
        try await known([.copyTransientJob, .copySynchronousWrites]) { domain, flags in
            unsafe virDomainBlockCopy(domain, "-", "<disk/>", nil, 0, flags | VIR_DOMAIN_BLOCK_COPY_REUSE_EXT.rawValue)
        }
    }

    /// Asks with a `virDomainUndefineFlags` that is to keep the NVRAM and to remove it, which libvirt refuses by itself.
    fileprivate func knownUndefineFlags() async throws(LibvirtError) -> [LibvirtFlag: Bool] {
        try await known([.undefineKeepTPM]) { domain, flags in
            let contradiction = VIR_DOMAIN_UNDEFINE_KEEP_NVRAM.rawValue | VIR_DOMAIN_UNDEFINE_NVRAM.rawValue
            return unsafe virDomainUndefineFlags(domain, flags | contradiction)
        }
    }

    @safe private func known(
        _ flags: [LibvirtFlag], _ refused: @escaping @Sendable (OpaquePointer, UInt32) -> Int32
    ) async throws(LibvirtError) -> [LibvirtFlag: Bool] {
        let bits = flags.reduce(LibvirtFlag.unknownBit) { $0 | $1.bit }
        do throws(LibvirtError) {
            try await call { (domain) throws(LibvirtError) in _ = try check(unsafe refused(domain, bits)) }
            return [:]
        } catch {
            if error.isConnectionLost { throw error }
            return LibvirtFlag.known(flags, from: error)
        }
    }
}
