/// The observed state of a swap's disk.
///
/// The volume is one of three: the new one, the old one without a job of ours, or unknown. On unknown, look again.
package enum DiskSight: Sendable, Hashable {
    /// One of the swap's two volumes, or a different one.
    package enum Place: Sendable, Hashable, CaseIterable { case old, new, other }

    /// The guest runs on the new volume, whatever job is on the disk.
    case onNew
    /// On the old volume, without a job.
    case onOld
    /// Like ``onOld``, but only according to libvirt: pivotd cannot ask QEMU to confirm it.
    case onOldUnverified
    /// On the old volume without a copy of ours, in a later life of the guest than the one in which the pivot was requested: whether that
    /// one had moved, nothing shows.
    case restartedOnOld
    /// On the old volume without a job, but libvirt still shows a `<mirror>`: it dropped a job that QEMU ended while libvirtd
    /// was down, and refuses every further job on the disk (error 83) until the guest is restarted.
    case forgottenMirror
    /// On the old volume, with a running copy onto the new one.
    case copying(isReady: Bool)
    /// A copy onto the new volume is being pivoted or cancelled (`<mirror ready='pivot'>`, `'abort'`); the result is open.
    case ending(pivot: Bool)
    /// On the old volume, with a running copy whose destination libvirt does not know, because libvirtd died while starting it.
    case unnamedCopy
    /// On the old volume, with a job that is not ours: a copy onto another volume, which may be being pivoted, or a different kind of
    /// job.
    case foreignJob(isCopy: Bool, isPivoting: Bool = false)
    /// On neither volume, with a running copy onto the new one: someone moved the disk just as the copy began.
    case strayCopy
    /// QEMU runs a different volume from the one in libvirt's live configuration: libvirt has lost track of a pivot.
    case pivotedUnnoticed
    /// On neither volume, or the domain no longer has the disk.
    case elsewhere
    /// The domain is not active; `stored` is the disk's place in the stored configuration.
    case stopped(stored: Place?)
    /// libvirt does not know the domain.
    case missing
    /// The inspection failed, or was overtaken by events: the reason.
    case unknown(String)

    /// Whether it is on the old volume, without a copy of ours.
    var isSettledOnOld: Bool {
        switch self {
        case .onOld, .onOldUnverified, .forgottenMirror, .foreignJob: true
        default: false
        }
    }

    /// Whether the guest is gone and nothing stored shows that it moved.
    var isGone: Bool {
        switch self {
        case .stopped(let stored): stored != .new
        case .missing: true
        default: false
        }
    }
}
