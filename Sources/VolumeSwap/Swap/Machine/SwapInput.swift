/// The result of a step, as the machine's input.
package enum SwapInput: Sendable {
    // From inspecting a task from before a restart
    case observed(DiskSight)
    // From the preflight
    case prepared(SwapPlan)
    /// The domain already runs on the new volume.
    case alreadyMoved(SwapPlan)
    /// A copy onto the new volume is already running.
    case adopted(SwapPlan)
    /// The step succeeded.
    case done
    /// The step failed.
    case failed(SwapFailure)
    // From a running copy
    case mirrorReady
    /// The remaining bytes do not fall: the guest writes as fast as the copy copies.
    case notConverging
    /// The job failed because the volumes differ in size: QEMU copies only between equal sizes.
    case sizesDiffer(SwapFailure)
    // From an attempt to have it converge
    /// QEMU cannot change the running copy, but it can be begun again.
    case mustBeginAgain
    /// Nothing can be done, for this reason.
    case cannotConverge(String)
    // From a pivot
    /// The pivot was refused or never reached libvirt, and the copy goes on (libvirt's error 83, for example).
    case notReady(SwapFailure)
    /// The pivot was not requested: it was to be a group's, which does not pivot, and the swap is held again.
    case heldAgain
    // From an inspection after a pivot, a cancel, or a job that went away
    case foundOnNew
    case foundOnOld(SwapFailure)
    /// QEMU runs the new volume but libvirt's live configuration names the old one.
    case pivotedUnnoticed(SwapFailure)
    // From the final steps
    /// The guest sees this many bytes.
    case resized(Int64)
    /// The guest still sees this many bytes, and the reason.
    case notResized(Int64, String)
    /// Everything is undone except `leftBehind`.
    case rolledBack(VolumeInUse, leftBehind: [String])
    /// The task was cancelled because pivotd is stopping: nothing is known about the step.
    case interrupted

    /// Why a step has to be repeated or made good, in libvirt's or QEMU's words; nil for all else.
    var setback: SwapFailure? {
        switch self {
        case .sizesDiffer(let failure), .notReady(let failure), .pivotedUnnoticed(let failure): failure
        default: nil
        }
    }

    var isTrouble: Bool {
        switch self {
        case .failed, .foundOnOld, .pivotedUnnoticed, .sizesDiffer, .notReady, .notResized, .interrupted: true
        case .observed(let sight): if case .unknown = sight { true } else { false }
        case .mustBeginAgain, .cannotConverge: true
        case .prepared, .alreadyMoved, .adopted, .done, .mirrorReady, .notConverging, .heldAgain, .foundOnNew, .resized,
            .rolledBack:
            false
        }
    }
}
