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
    /// The mirror is in step: it can be pivoted to.
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

/// `virDomainBlockJobInfo`: how far a job on a disk is.
package struct BlockJobInfo: Sendable, Hashable {
    package let type: BlockJobType
    /// The limit in bytes a second; 0 is none.
    package let bandwidth: UInt64
    /// Position and end in units of libvirt's choosing. Both grow while the guest writes; equal is not the same as ready.
    package let cursor: UInt64
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
    /// Bytes a second.
    package var bandwidth: UInt64?
    /// The dirty bitmap's granularity in bytes, a power of two.
    package var granularity: UInt32?
    /// How much is in flight at most, in bytes.
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

    package static let reuseExternal = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_REUSE_EXT.rawValue)
    package static let copyRaw = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_COPY_RAW.rawValue)
    package static let copy = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_COPY.rawValue)
    package static let copyDevice = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_COPY_DEV.rawValue)
    package static let bandwidthBytes = Self(rawValue: VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES.rawValue)
}

/// `virDomainBlockCopyFlags`.
package struct BlockCopyFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let reuseExternal = Self(rawValue: VIR_DOMAIN_BLOCK_COPY_REUSE_EXT.rawValue)
    package static let transientJob = Self(rawValue: VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB.rawValue)
    package static let synchronousWrites = Self(rawValue: VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES.rawValue)
}

/// `virDomainBlockJobAbortFlags`.
package struct BlockJobAbortFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Ask only; the outcome comes as an event.
    package static let async = Self(rawValue: VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC.rawValue)
    /// End a ready copy by moving the guest to it.
    package static let pivot = Self(rawValue: VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT.rawValue)
}
