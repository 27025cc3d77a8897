import CLibvirt

/// `virDomainBlockJobType`.
package enum BlockJobType: Sendable, Hashable {
    case unknown, pull, copy, commit, activeCommit, backup
    /// One that this libvirt has and pivotd does not know.
    case other(Int32)

    init(code: Int32) {
        self =
            switch code {
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_UNKNOWN.rawValue): .unknown
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_PULL.rawValue): .pull
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_COPY.rawValue): .copy
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT.rawValue): .commit
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT.rawValue): .activeCommit
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP.rawValue): .backup
            default: .other(code)
            }
    }
}

/// `virConnectDomainEventBlockJobStatus`.
package enum BlockJobStatus: Sendable, Hashable {
    case completed, failed, canceled
    /// The mirror is in sync and can be pivoted to.
    case ready
    /// One that this libvirt has and pivotd does not know.
    case other(Int32)

    init(code: Int32) {
        self =
            switch code {
            case Int32(VIR_DOMAIN_BLOCK_JOB_COMPLETED.rawValue): .completed
            case Int32(VIR_DOMAIN_BLOCK_JOB_FAILED.rawValue): .failed
            case Int32(VIR_DOMAIN_BLOCK_JOB_CANCELED.rawValue): .canceled
            case Int32(VIR_DOMAIN_BLOCK_JOB_READY.rawValue): .ready
            default: .other(code)
            }
    }
}

/// `virDomainBlockJobInfo`: the progress of a job on a disk.
package struct BlockJobInfo: Sendable, Hashable {
    /// The kind of job.
    package let type: BlockJobType
    /// The limit in bytes per second; 0 for none.
    package let bandwidth: UInt64
    /// Position, in arbitrary units. This and ``end`` grow while the guest writes; being equal does not mean ready.
    package let cursor: UInt64
    /// The value of ``cursor`` at which the job is done.
    package let end: UInt64

    package init(type: BlockJobType, bandwidth: UInt64, cursor: UInt64, end: UInt64) {
        self.type = type
        self.bandwidth = bandwidth
        self.cursor = cursor
        self.end = end
    }
}

/// The `VIR_DOMAIN_BLOCK_COPY_…` parameters; nil leaves libvirt's default.
package struct BlockCopyParameters: Sendable, Hashable {
    /// Bytes per second.
    package var bandwidth: UInt64?
    /// The dirty bitmap's granularity in bytes, a power of two.
    package var granularity: UInt32?
    /// Maximum bytes in flight.
    package var bufferSize: UInt64?

    package init(bandwidth: UInt64? = nil, granularity: UInt32? = nil, bufferSize: UInt64? = nil) {
        self.bandwidth = bandwidth
        self.granularity = granularity
        self.bufferSize = bufferSize
    }
}

/// `virDomainBlockRebaseFlags`. The bandwidth of `blockRebase` is always in bytes.
package struct BlockRebaseFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The destination already exists, with its format and size.
    package static let reuseExternal = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT.rawValue)
    /// The destination is raw.
    package static let copyRaw = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_COPY_RAW.rawValue)
    /// A copy, not a pull.
    package static let copy = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_COPY.rawValue)
    /// The destination is a block device.
    package static let copyDevice = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_COPY_DEV.rawValue)
    /// The bandwidth is in bytes per second, not MiB.
    package static let bandwidthBytes = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES.rawValue)
}

/// `virDomainBlockCopyFlags`.
package struct BlockCopyFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The destination already exists, with its format and size.
    package static let reuseExternal = Self(rawValue: VIR_DOMAIN_BLOCK_COPY_REUSE_EXT.rawValue)
    /// The copy does not survive the domain; needed for persistent ones.
    package static let transientJob = Self(rawValue: VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB.rawValue)
    /// Guest writes wait for the destination too, so that the copy converges.
    package static let synchronousWrites = Self(rawValue: VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES.rawValue)
}

/// `virDomainBlockJobAbortFlags`.
package struct BlockJobAbortFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Returns at once; an event reports the outcome.
    package static let async = Self(rawValue: VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC.rawValue)
    /// Ends a ready copy by moving the guest to it.
    package static let pivot = Self(rawValue: VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT.rawValue)
}
