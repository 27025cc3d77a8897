import Synchronization

/// Records what a preflight attached or created for the new volume, or tried to: what to undo if no plan takes it over.
///
/// Whoever cancels a preflight then calls ``SwapPreflight/release()`` from a task that is not cancelled.
package final class AttachmentLedger: Sendable {
    struct Entries: Sendable {
        /// A connector was asked to attach the volume, and may have.
        var isAttached = false
        /// Where the volume is, once known.
        var location: VolumeLocation?
        /// The UUID of the libvirt secret made for it.
        var madeSecret: String?
    }

    private let entries = Mutex(Entries())

    package init() {}

    func noteAttachment() { entries.withLock { $0.isAttached = true } }
    func note(_ location: VolumeLocation) { entries.withLock { $0.location = location } }
    func note(madeSecret: String) { entries.withLock { $0.madeSecret = madeSecret } }

    /// Removes and returns the entries, so that each is undone once.
    func take() -> Entries {
        entries.withLock { entries in
            defer { entries = Entries() }
            return entries
        }
    }
}
