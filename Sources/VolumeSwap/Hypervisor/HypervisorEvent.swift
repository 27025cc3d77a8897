/// What happens to a domain while its disk is copied.
package enum HypervisorEvent: Sendable, Hashable {
    /// VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, and when it arrived.
    case blockJob(disk: String, status: BlockJobStatus, at: ContinuousClock.Instant)
    /// QEMU's own word on a job that failed (`BLOCK_JOB_COMPLETED` with an error, `BLOCK_JOB_ERROR`).
    case jobError(disk: String, message: String)
    /// The domain is no longer running; the text says how it ended: "shut down by the guest", "crashed".
    case stopped(reason: String)
    /// Events may have been lost, or the connection was; or time has passed, or somebody asks for something: look at the job again.
    case recheck
}

package enum BlockJobStatus: Sendable, Hashable {
    /// The mirror is in step.
    case ready
    case completed
    case failed
    case canceled
}
