import Basics
import Synchronization

/// Several held swaps of one guest that pivot as a group: where each stands, and what it is to do.
final class PivotGroup: Sendable {
    /// What a swap that is about to pivot is told.
    enum Verdict: Sendable, Hashable {
        /// Request the pivot: the guest is paused.
        case pivot
        /// Be held again, for this reason.
        case standDown(String)
    }

    private struct State {
        var pivot: GroupPivot
        /// nil until it has the guest's turn.
        var stage: GroupPivot.Stage?
        var mark: PivotGroupMark?
        var verdict: Verdict?
        /// What callers are told; a refusal before the guest runs again.
        var answer: Verdict?
        var isOver = false
        var warning: String?
        /// Wait for a swap to be noted, the verdict, the answer, and the end.
        var changes = Waiters<Void>()
        var deciders = Waiters<Verdict?>()
        var callers = Waiters<Verdict?>()
        var leavers = Waiters<Void>()
    }

    /// Number of groups of this process so far.
    private static let count = Atomic(0)

    /// The group's own name in the domain's lock; not that of the next group, which may be made of the same swaps while this one lets go.
    let id: TaskID
    let domain: DomainIdentity
    let members: [TaskID]
    private let state: Mutex<State>

    init(_ domain: DomainIdentity, _ members: [TaskID]) {
        self.domain = domain
        self.members = members
        let number = Self.count.add(1, ordering: .relaxed).newValue
        id = TaskID("group \(number) of \(domain.uuid.lowercased()): \(members.map(\.text).joined(separator: " "))")
        state = Mutex(State(pivot: GroupPivot(members)))
    }

    // MARK: For a swap

    /// Whether the guest's turn is the group's, so that its swaps have to be in step.
    var isGathering: Bool { state.withLock { $0.stage != nil } }

    /// Notes that a swap is in step.
    ///
    /// - Returns: whether to store its pivot now.
    func noteInStep(_ task: TaskID) -> Bool {
        state.withLock { state in
            guard let stage = state.stage, state.verdict == nil else { return false }
            Self.note(task, .inStep, &state)
            return stage == .storing
        }
    }

    /// Notes where a swap stands; nothing once the group is over.
    func note(_ task: TaskID, _ member: GroupPivot.Member) { state.withLock { Self.note(task, member, &$0) } }

    private static func note(_ task: TaskID, _ member: GroupPivot.Member, _ state: inout State) {
        guard !state.isOver else { return }
        state.pivot.note(task, member)
        state.changes.resumeAll(())
    }

    /// Notes that a swap has stored its pivot, and waits for what to do.
    ///
    /// - Returns: nil if the waiting task is cancelled.
    func arrive(_ task: TaskID) async -> Verdict? {
        note(task, .stored)
        let waiter = state.withLock { state in state.verdict.map { Waiter(.some($0)) } ?? state.deciders.add() }
        return await waiter.value(ifCancelled: nil)
    }

    /// Waits for what to tell the caller of `pivot_swap`; nil if the waiting task is cancelled.
    func answer() async -> Verdict? {
        let waiter = state.withLock { state in state.answer.map { Waiter(.some($0)) } ?? state.callers.add() }
        return await waiter.value(ifCancelled: nil)
    }

    /// Waits until the guest runs again, or for cancellation.
    func untilOver() async {
        let waiter = state.withLock { state in state.isOver ? Waiter(()) : state.leavers.add() }
        await waiter.value(ifCancelled: ())
    }

    var isOver: Bool { state.withLock { $0.isOver } }
    /// Whether a swap is on its new volume already.
    var hasMoved: Bool { state.withLock { $0.pivot.members.values.contains(.moved) } }
    /// Whether the swaps were told what to do.
    var isDecided: Bool { state.withLock { $0.verdict != nil } }
    /// What the journal keeps with each swap; nil once the group is over.
    var openMark: PivotGroupMark? { state.withLock { $0.isOver ? nil : $0.mark } }
    /// What the swaps' callers should know.
    var warning: String? { state.withLock { $0.warning } }

    // MARK: For the group

    /// Enters a stage, in which the swaps do their part.
    func enter(_ stage: GroupPivot.Stage, mark: PivotGroupMark? = nil) {
        state.withLock { state in
            state.stage = stage
            state.mark = mark ?? state.mark
        }
    }

    /// What to do next, and a wait for the next change.
    func next(isLate: Bool) -> (GroupPivot.Step, change: Waiter<Void>) {
        state.withLock { state in
            // Before it has the turn, only a swap's end matters.
            var step = state.pivot.next(in: state.stage ?? .gathering, isLate: isLate)
            if state.stage == nil, step == .goOn { step = .wait }
            return (step, step == .wait ? state.changes.add() : Waiter(()))
        }
    }

    /// Tells the swaps what to do, and their callers.
    func decide(_ verdict: Verdict) {
        state.withLock { state in
            state.verdict = verdict
            state.deciders.resumeAll(verdict)
            Self.answer(verdict, &state)
        }
    }

    /// Tells the callers alone that the group does not pivot: the swaps wait until the guest runs again.
    func refuse(_ reason: String) { state.withLock { Self.answer(.standDown(reason), &$0) } }

    private static func answer(_ verdict: Verdict, _ state: inout State) {
        state.answer = state.answer ?? verdict
        state.callers.resumeAll(state.answer)
    }

    /// What the swaps' callers should know if the guest ran again now.
    func warning(afterSeconds seconds: Int, wasResumed: Bool) -> String? {
        state.withLock { $0.pivot.warning(afterSeconds: seconds, wasResumed: wasResumed) }
    }

    /// Ends the group: the guest runs, or is as it was before.
    func end(_ warning: String?) {
        state.withLock { state in
            state.warning = warning
            state.isOver = true
            state.leavers.resumeAll(())
        }
    }
}
