import CLibvirt

/// `virDomainBlockJobType`, under libvirt's own names.
package enum BlockJobType: String, Sendable, Hashable {
    case pull, copy, commit
    case activeCommit = "active-commit"
    case backup
    /// One that pivotd does not know.
    case foreign

    init(code: Int32) {
        self =
            switch code {
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_PULL.rawValue): .pull
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_COPY.rawValue): .copy
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT.rawValue): .commit
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT.rawValue): .activeCommit
            case Int32(VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP.rawValue): .backup
            default: .foreign
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
}
