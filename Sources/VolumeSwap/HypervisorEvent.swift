import Synchronization

/// What happens to a domain while its disk is copied.
package enum HypervisorEvent: Sendable, Hashable {
    /// VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, and when it arrived.
    case blockJob(disk: String, status: BlockJobStatus, at: ContinuousClock.Instant)
    /// QEMU's own word on a job that failed (`BLOCK_JOB_COMPLETED` with an error, `BLOCK_JOB_ERROR`).
    case jobError(disk: String, message: String)
    /// The domain is no longer running; the text says how it ended: "shut down by the guest", "crashed".
    case stopped(reason: String)
    /// Events may have been lost, or the connection was; or time has passed, or somebody asks for something: look at the job again.
    case look
}

package enum BlockJobStatus: Sendable, Hashable {
    /// The mirror is in step.
    case ready
    case completed
    case failed
    case canceled
}

/// The mailbox of one swap: its domain's events, bounded. What does not fit turns into a ``HypervisorEvent/look``.
package final class HypervisorEvents: Sendable {
    package let stream: AsyncStream<HypervisorEvent>
    private let continuation: AsyncStream<HypervisorEvent>.Continuation
    private let onClose: Mutex<(@Sendable () -> Void)?>
    private let isTaken = Mutex(false)

    package init(capacity: Int = 64) {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(capacity))
        onClose = Mutex(nil)
    }

    /// Never blocks; may be called from libvirt's event thread.
    package func post(_ event: HypervisorEvent) {
        // The newest are kept, so a `look` put in after a loss is always read.
        if case .dropped(let lost) = continuation.yield(event), lost != .look { continuation.yield(.look) }
    }

    /// True for the first caller: the one that subscribes.
    package func take() -> Bool {
        isTaken.withLock { taken in
            defer { taken = true }
            return !taken
        }
    }

    /// What ends the subscription behind this mailbox.
    package func onClose(_ body: @escaping @Sendable () -> Void) { onClose.withLock { $0 = body } }

    package func close() {
        continuation.finish()
        onClose.withLock { $0.take() }?()
    }
}
