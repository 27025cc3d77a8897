import CLibvirt

extension LibvirtDomain {
    /// Starts a copy onto a path that exists, with its format and size (`virDomainBlockRebase`).
    ///
    /// - Parameters:
    ///   - disk: The disk's target, for example `vdb`.
    ///   - bandwidth: Bytes per second; nil for no limit.
    package func blockRebase(
        disk: String, path: String, bandwidth: UInt64?, isBlockDevice: Bool, isRaw: Bool
    ) async throws(LibvirtError) {
        var flags = VIR_DOMAIN_BLOCK_REBASE_COPY.rawValue | VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT.rawValue
        flags |= VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES.rawValue
        if isBlockDevice { flags |= VIR_DOMAIN_BLOCK_REBASE_COPY_DEV.rawValue }
        if isRaw { flags |= VIR_DOMAIN_BLOCK_REBASE_COPY_RAW.rawValue }
        let given = flags
        try await call { (domain) throws(LibvirtError) in
            _ = try check(unsafe virDomainBlockRebase(domain, disk, path, UInt(bandwidth ?? 0), given))
        }
    }

    /// Starts a copy onto a destination that exists, described by a `<disk>` element; it does not survive the domain, which
    /// persistent ones demand (`virDomainBlockCopy`). Nil leaves libvirt's default.
    ///
    /// - Parameters:
    ///   - destinationXML: Refers to secrets by UUID, never by value.
    ///   - bandwidth: Bytes per second.
    ///   - granularity: The dirty bitmap's granularity in bytes, a power of two.
    ///   - bufferSize: Maximum bytes in flight.
    ///   - synchronousWrites: Whether guest writes wait for the destination too, so that the copy converges.
    package func blockCopy(
        disk: String, destinationXML: String, bandwidth: UInt64?, granularity: UInt32?, bufferSize: UInt64?,
        synchronousWrites: Bool
    ) async throws(LibvirtError) {
        var flags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT.rawValue | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB.rawValue
        if synchronousWrites { flags |= VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES.rawValue }
        let given = flags
        try await call { (domain) throws(LibvirtError) in
            var list = TypedParameters()
            try list.add(VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, bandwidth)
            try list.add(VIR_DOMAIN_BLOCK_COPY_GRANULARITY, granularity)
            try list.add(VIR_DOMAIN_BLOCK_COPY_BUF_SIZE, bufferSize)
            _ = try check(unsafe virDomainBlockCopy(domain, disk, destinationXML, list.parameters, list.count, given))
        }
    }

    /// The job on a disk; nil if there is none (`virDomainGetBlockJobInfo`).
    package func blockJobInfo(disk: String) async throws(LibvirtError) -> BlockJobInfo? {
        try await call { (domain) throws(LibvirtError) in
            var info = virDomainBlockJobInfo()
            let found = try check(
                unsafe virDomainGetBlockJobInfo(domain, disk, &info, VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES.rawValue))
            guard found == 1 else { return nil }
            return BlockJobInfo(
                type: BlockJobType(code: info.type), bandwidth: UInt64(info.bandwidth), cursor: info.cur, end: info.end)
        }
    }

    /// Cancels the job on a disk, or with `pivot` ends it by moving the guest to the copy (`virDomainBlockJobAbort` with ASYNC).
    ///
    /// The following happens within milliseconds if nothing hangs (libvirt 9.0):
    ///
    /// - even before the call returns, the live configuration says `<mirror ready='pivot'>` or `'abort'`;
    /// - QEMU ends the job; the live `<mirror>` loses its `ready` and `job`, and the source is still the old one;
    /// - after a pivot of a `blockCopy` the stored configuration names the copy;
    /// - the event arrives: completed, canceled, or failed for a pivot that QEMU could not carry out;
    /// - `blockJobInfo` is nil, and the live configuration has no `<mirror>` and, after a pivot, names the copy.
    ///
    /// So the event precedes the final live configuration, and nothing is decided while there is a `<mirror>`. While the
    /// destination's flush hangs, only the first of these happens, even across restarts of libvirtd: the job stays, another abort
    /// or pivot is refused ("still being ended"), and during a pivot the guest's writes to the disk wait.
    ///
    /// - Throws: ``LibvirtError``: `isBlockCopyActive` for a pivot to a copy that is not ready; `VIR_ERR_INVALID_ARG` if the
    ///   disk has no job; `isOperationInvalid` if the domain does not run or the job is already being ended.
    package func blockJobAbort(disk: String, pivot: Bool) async throws(LibvirtError) {
        let flags = VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC.rawValue | (pivot ? VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT.rawValue : 0)
        try await call { (domain) throws(LibvirtError) in
            _ = try check(unsafe virDomainBlockJobAbort(domain, disk, flags))
        }
    }

    /// Limits the running job (`virDomainBlockJobSetSpeed`); 0 for no limit.
    package func blockJobSetSpeed(disk: String, bytesPerSecond: UInt64) async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in
            _ = try check(
                unsafe virDomainBlockJobSetSpeed(
                    domain, disk, UInt(bytesPerSecond), VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES.rawValue))
        }
    }

    /// Changes the size that the guest sees (`virDomainBlockResize`), in bytes.
    package func blockResize(disk: String, bytes: UInt64) async throws(LibvirtError) {
        try await call { (domain) throws(LibvirtError) in
            _ = try check(unsafe virDomainBlockResize(domain, disk, bytes, VIR_DOMAIN_BLOCK_RESIZE_BYTES.rawValue))
        }
    }

    /// The size that the guest sees, in bytes (`virDomainGetBlockInfo`).
    package func blockCapacity(disk: String) async throws(LibvirtError) -> UInt64 {
        try await call { (domain) throws(LibvirtError) in
            var info = virDomainBlockInfo()
            try check(unsafe virDomainGetBlockInfo(domain, disk, &info, 0))
            return info.capacity
        }
    }
}

/// Owns a list of `virTypedParameter`.
@safe private struct TypedParameters: ~Copyable {
    private(set) var parameters: virTypedParameterPtr?
    private(set) var count: Int32 = 0
    private var capacity: Int32 = 0

    mutating func add(_ name: String, _ value: UInt64?) throws(LibvirtError) {
        guard let value else { return }
        try check(unsafe virTypedParamsAddULLong(&parameters, &count, &capacity, name, value))
    }

    mutating func add(_ name: String, _ value: UInt32?) throws(LibvirtError) {
        guard let value else { return }
        try check(unsafe virTypedParamsAddUInt(&parameters, &count, &capacity, name, value))
    }

    deinit {
        unsafe virTypedParamsFree(parameters, count)
    }
}
