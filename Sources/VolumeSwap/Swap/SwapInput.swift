/// What the machine is told.
package enum SwapInput: Sendable {
    // Of the look at a task that was under way before a restart
    case observed(DiskSight)
    // Of the preflight
    case prepared(SwapPlan)
    /// The domain runs on the new volume already.
    case alreadyMoved(SwapPlan)
    /// A copy onto the new volume is running already.
    case adopted(SwapPlan)
    /// The step in hand is done.
    case done
    /// The step in hand failed.
    case failed(SwapFailure)
    // Of a running copy
    case mirrorReady
    /// The job died because the volumes differ in size: QEMU copies only between equal ones.
    case sizesDiffer(SwapFailure)
    // Of a pivot
    /// Refused, and the copy runs on: libvirt's error 83, another refusal, or a request that libvirt never heard.
    case notReady(SwapFailure)
    // What a look has shown after a pivot, a cancel, or a job that went away
    case foundOnNew
    case foundOnOld(SwapFailure)
    /// QEMU runs the new volume and libvirt's live configuration names the old one.
    case pivotedUnnoticed(SwapFailure)
    // Of the end
    /// The guest sees that many bytes.
    case resized(Int64)
    /// The guest still sees that many bytes, and why.
    case notResized(Int64, String)
    /// All is undone but what is named.
    case rolledBack(VolumeInUse, leftBehind: [String])
    /// The task is cancelled, for pivotd stops: nothing is known of the step.
    case interrupted

    var isTrouble: Bool {
        switch self {
        case .failed, .foundOnOld, .pivotedUnnoticed, .sizesDiffer, .notReady, .notResized, .interrupted: true
        case .observed(let sight): if case .unknown = sight { true } else { false }
        case .prepared, .alreadyMoved, .adopted, .done, .mirrorReady, .foundOnNew, .resized, .rolledBack: false
        }
    }
}
