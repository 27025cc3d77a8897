/// What happens to a domain while its disk is copied.
package enum HypervisorEvent: Sendable, Hashable {
    /// VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2
    case blockJob(disk: String, status: BlockJobStatus)
    /// QEMU's own word on a job that failed (`BLOCK_JOB_COMPLETED` with an error, `BLOCK_JOB_ERROR`).
    case jobError(disk: String, message: String)
    /// The domain is no longer running; the text says how it ended: "shut down by the guest", "crashed".
    case stopped(reason: String)
    /// Events may have been lost, or the connection was: look at the job again.
    case missed
}

package enum BlockJobStatus: Sendable, Hashable {
    /// The mirror is in step.
    case ready
    case completed
    case failed
    case canceled
}

/// One domain's events: a bounded stream that ends when it is closed.
package struct HypervisorEvents: Sendable {
    package let stream: AsyncStream<HypervisorEvent>
    private let onClose: @Sendable () -> Void

    package init(stream: AsyncStream<HypervisorEvent>, onClose: @escaping @Sendable () -> Void) {
        self.stream = stream
        self.onClose = onClose
    }

    package func close() { onClose() }
}
