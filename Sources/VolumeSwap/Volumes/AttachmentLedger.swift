import Synchronization

/// What a preflight attached or made for the new volume, or has tried to: what is to be undone when no plan takes it over.
///
/// Whoever cancels a preflight releases afterwards, from a task that is not cancelled: ``SwapPreflight/release()``.
package final class AttachmentLedger: Sendable {
    struct Entries: Sendable {
        /// A connector was asked to attach the volume; whether it did may not be known.
        var isAttached = false
        /// Where the volume is, once that is known.
        var location: VolumeLocation?
        /// The libvirt secret that was made for it.
        var madeSecret: String?
    }

    private let entries = Mutex(Entries())

    package init() {}

    func noteAttachment() { entries.withLock { $0.isAttached = true } }
    func note(_ location: VolumeLocation) { entries.withLock { $0.location = location } }
    func note(madeSecret: String) { entries.withLock { $0.madeSecret = madeSecret } }

    /// Takes the entries out: what is undone once is not undone again.
    func take() -> Entries {
        entries.withLock { entries in
            defer { entries = Entries() }
            return entries
        }
    }
}
