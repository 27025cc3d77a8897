import Synchronization

/// A run's bookkeeping: what it has done that may have to be undone, and what the last inspection showed.
final class SwapMarks: Sendable {
    private struct Marks {
        var storedPlan: SwapPlan?
        var owesDefinition = false
        var surelyOwesDefinition = false
        var mayBeUndefining = false
        var mayHaveAttached = false
        /// The last conclusive inspection.
        var seen: DiskSight?
        /// Whether the disk was known to be on the old volume before the first inspection.
        var isKnownOld = true
        var leftBehind: [String] = []
        var liveXML: (xml: String, at: ContinuousClock.Instant)?
        var liveXMLLook: ContinuousClock.Instant?
        var copyBegan: ContinuousClock.Instant?
        var readyAt: ContinuousClock.Instant?
        /// The guest's lives in which the copy was watched, and its pivot was requested.
        var copyLife: String?
        var pivotLife: String?
        /// The last remark, without digits, and how many there were.
        var remark = (bytes: [UInt8](), count: 0)
    }

    private let state = Mutex(Marks())

    /// The plan in the journal.
    var storedPlan: SwapPlan? { state.withLock { $0.storedPlan } }
    func noteStored(_ plan: SwapPlan?) { state.withLock { $0.storedPlan = plan } }
    /// What an earlier attempt could not undo.
    var leftBehind: [String] { state.withLock { $0.leftBehind } }
    func leave(_ remainders: [String]) {
        state.withLock { state in state.leftBehind += remainders.filter { !state.leftBehind.contains($0) } }
    }

    /// Time between two looks at the running configuration of a domain without a stored one.
    private static let liveInterval = Duration.seconds(5)

    /// That configuration as it was last seen, and when.
    var liveXML: (xml: String, at: ContinuousClock.Instant)? { state.withLock { $0.liveXML } }
    func note(liveXML xml: String, at now: ContinuousClock.Instant) { state.withLock { $0.liveXML = (xml, now) } }

    /// Whether to look at it now; true at most once per interval.
    func isLiveXMLDue(at now: ContinuousClock.Instant) -> Bool {
        state.withLock { state in
            guard state.liveXMLLook.map({ now - $0 >= Self.liveInterval }) ?? true else { return false }
            state.liveXMLLook = now
            return true
        }
    }

    /// When the copy was requested; nil for an adopted one.
    var copyBegan: ContinuousClock.Instant? { state.withLock { $0.copyBegan } }
    func noteCopy(began: ContinuousClock.Instant) { state.withLock { $0.copyBegan = began } }
    /// When the mirror was in sync.
    var readyAt: ContinuousClock.Instant? { state.withLock { $0.readyAt } }
    func noteReady(at time: ContinuousClock.Instant?) { state.withLock { $0.readyAt = time } }

    /// The guest's life that has the copy, which ends with it.
    func note(life: String) { state.withLock { $0.copyLife = life } }
    /// See ``SwapPlanFacts/pivotLife``.
    var pivotLife: String? { state.withLock { $0.pivotLife } }
    func notePivot() { state.withLock { $0.pivotLife = $0.copyLife ?? $0.pivotLife } }

    /// Maximum number of remarks of a run.
    private static let remarkLimit = 20

    /// Whether a remark differs from the last one by more than its numbers, and there were not too many.
    ///
    /// - Parameter isCause: whether it says why the swap fails, which no limit must leave out.
    func isNews(_ remark: String, isCause: Bool = false) -> Bool {
        let bytes = remark.utf8.filter { !(48...57).contains($0) }
        return state.withLock { state in
            guard bytes != state.remark.bytes, isCause || state.remark.count < Self.remarkLimit else { return false }
            state.remark = (bytes, state.remark.count + 1)
            return true
        }
    }

    /// How long the copy itself took.
    var copyTime: Duration? {
        state.withLock { state in
            guard let began = state.copyBegan, let readyAt = state.readyAt else { return nil }
            return readyAt - began
        }
    }

    /// Whether pivotd has, or may have, removed the domain's definition without restoring it. If not, a missing definition was
    /// removed by someone else on purpose.
    var owesDefinition: Bool { state.withLock { $0.owesDefinition } }
    /// Whether it surely has removed it, so that nobody else did.
    var surelyOwesDefinition: Bool { state.withLock { $0.surelyOwesDefinition } }
    func oweDefinition(_ isOwed: Bool, surely isSure: Bool = false) {
        state.withLock { ($0.owesDefinition, $0.surelyOwesDefinition) = (isOwed, isSure) }
    }
    /// Whether the journal says that the definition is restored, and it has not been removed since.
    var hasDefinedAgain: Bool { state.withLock { $0.storedPlan?.isDefinedAgain == true && !$0.owesDefinition } }

    /// Whether pivotd gave up on an undefine that has not been answered.
    var mayBeUndefining: Bool { state.withLock { $0.mayBeUndefining } }
    func noteUndefine(isOut: Bool) { state.withLock { $0.mayBeUndefining = isOut } }

    /// Takes over what an earlier process may have done for the task.
    func takeUp(_ entry: SwapEntry) {
        state.withLock { state in
            switch entry {
            case .fresh: break
            case .again: state.mayHaveAttached = true
            case .resume(let phase, let plan):
                state.owesDefinition =
                    plan.isUndefined && plan.isDefinedAgain != true && phase != .accepted && phase != .preparing
                // A roll-back may have begun before the definition was removed.
                state.surelyOwesDefinition = state.owesDefinition && phase != .undefining && phase != .rollingBack
                state.isKnownOld = false
                state.pivotLife = plan.pivotLife
            }
        }
    }

    /// Records the result of an inspection, unless it is unknown.
    func note(_ sight: DiskSight) {
        if case .unknown = sight { return }
        state.withLock { state in
            state.seen = sight
            // Whatever becomes of this life, its pivot has failed.
            if sight == .onOld { state.pivotLife = nil }
        }
    }

    /// Whether the guest was last seen on the new volume, or about to move there.
    var mayBeOnNew: Bool {
        switch state.withLock({ $0.seen }) {
        case .onNew, .stopped(stored: .new), .pivotedUnnoticed, .ending(pivot: true): true
        default: false
        }
    }

    /// Whether QEMU was last seen to run the disk on the new volume while libvirt names the old one.
    var isStranded: Bool { state.withLock { $0.seen == .pivotedUnnoticed } }

    /// Whether the guest was last seen on the old volume, without a job that could move it away.
    var isSurelyOnOld: Bool { state.withLock { $0.seen == .onOld || $0.seen == .forgottenMirror } }

    /// Which volume the guest was last seen on, in a roll-back before any pivot by pivotd.
    var lastInUse: VolumeInUse {
        state.withLock { state in
            switch state.seen {
            case nil: state.isKnownOld ? .old : .unknown
            case .onNew: .new
            case .pivotedUnnoticed, .ending(pivot: true), .unknown: .unknown
            case .elsewhere, .strayCopy, .stopped, .missing: .none
            case .onOld, .onOldUnverified, .restartedOnOld, .forgottenMirror, .copying, .ending, .unnamedCopy, .foreignJob:
                .old
            }
        }
    }

    /// Whether an earlier process may have attached the new volume; true only once, for the caller that then releases it.
    func takeAttachment() -> Bool {
        state.withLock { state in
            defer { state.mayHaveAttached = false }
            return state.mayHaveAttached
        }
    }
}
