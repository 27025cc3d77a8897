/// An event of a domain whose disk is being copied.
package enum HypervisorEvent: Sendable, Hashable {
    /// `VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2`, with the time of its arrival.
    case blockJob(disk: String, status: BlockJobStatus, at: ContinuousClock.Instant)
    /// QEMU's own message about a failed job (`BLOCK_JOB_COMPLETED` with an error, `BLOCK_JOB_ERROR`).
    case jobError(disk: String, message: String)
    /// The domain stopped; `reason` is for an operator, such as "shut down by the guest" or "crashed".
    case stopped(reason: String)
    /// Recheck the job: events may have been lost, time has passed, or someone has made a request.
    case recheck

    /// The reason of a guest that has stopped here, since it runs on another host now (`VIR_DOMAIN_EVENT_STOPPED_MIGRATED`).
    package static let migratedAway = "migrated away"
}

/// The status in libvirt's block job event (`VIR_DOMAIN_BLOCK_JOB_*`).
package enum BlockJobStatus: Sendable, Hashable {
    /// The mirror is in sync.
    case ready
    case completed
    case failed
    case canceled
}
