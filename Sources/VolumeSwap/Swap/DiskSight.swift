/// What a look at a disk shows. There are three answers as to its volume, not two: the new one, the old one with no job of ours on it,
/// and not known; whoever gets the last one looks again.
package enum DiskSight: Sendable, Hashable {
    package enum Place: Sendable, Hashable, CaseIterable { case old, new, other }

    /// The guest runs on the new volume, whatever job is on the disk now.
    case onNew
    /// On the old volume, and no job is on it.
    case onOld
    /// As ``onOld``, by libvirt's configuration alone: whether QEMU agrees cannot be told here.
    case onOldUnverified
    /// On the old volume, no job, but libvirt goes on showing a `<mirror>`: it dropped a job that QEMU ended while libvirtd was dead, and
    /// refuses every further job on the disk (error 83) until the guest starts anew.
    case forgottenMirror
    /// On the old volume, a copy onto the new one runs.
    case copying(isReady: Bool)
    /// A copy onto the new volume is being pivoted or cancelled (`<mirror ready='pivot'>`, `'abort'`): what comes of it is not known.
    case ending(pivot: Bool)
    /// On the old volume, a copy runs whose destination libvirt does not know: it died while it started the copy.
    case unnamedCopy
    /// On the old volume, with a job that is not ours: a copy onto something else, or no copy at all.
    case foreignJob(isCopy: Bool)
    /// On neither volume, and a copy onto the new one runs: somebody moved the disk at the moment at which the copy began.
    case strayCopy
    /// QEMU runs another volume than libvirt's live configuration names: libvirt has lost track of a pivot.
    case pivotedUnnoticed
    /// On neither volume, or the disk is gone.
    case elsewhere
    /// The domain does not run; where its stored configuration says the disk is.
    case stopped(stored: Place?)
    /// libvirt does not know the domain.
    case missing
    /// The look failed, or was passed by what happened meanwhile: it says nothing.
    case unknown(String)

    /// The guest is not there, and nothing stored tells where it went.
    var isGone: Bool {
        switch self {
        case .stopped(let stored): stored != .new
        case .missing: true
        default: false
        }
    }
}
