/// What the pivot of several disks of one guest as a group does next, from where each of its swaps stands. Pure.
///
/// | stage | goes on once | gives up, and all swaps are held again |
/// |---|---|---|
/// | gathering: it has the guest's turn | all are in step | one has failed, was aborted or has moved |
/// | storing: each stores that it is about to pivot | all have stored it | likewise, or time is up |
/// | pivoting: the guest is paused | all have moved or stayed, or time is up | never: some may have moved |
package struct GroupPivot: Sendable, Hashable {
    /// Where a swap stands.
    package enum Member: Sendable, Hashable {
        /// Its mirror is not known to be in step.
        case copying
        case inStep
        /// It has stored that it is about to pivot, and waits.
        case stored
        /// On its new volume.
        case moved
        /// It does not pivot, for this reason.
        case stayed(String)

        fileprivate var isFinal: Bool {
            switch self {
            case .moved, .stayed: true
            case .copying, .inStep, .stored: false
            }
        }
    }

    package enum Stage: Sendable, Hashable, CaseIterable { case gathering, storing, pivoting }

    package enum Step: Sendable, Hashable {
        case wait
        case goOn
        case giveUp(String)
    }

    private(set) var members: [TaskID: Member]

    package init(_ members: [TaskID]) { self.members = Dictionary(members.map { ($0, .copying) }) { $1 } }

    /// Notes where a swap stands. A swap does not go back from its end, nor from having stored its pivot.
    package mutating func note(_ task: TaskID, _ member: Member) {
        switch (members[task], member) {
        case (nil, _), (.moved, _), (.stayed, _), (.stored, .copying), (.stored, .inStep): return
        default: members[task] = member
        }
    }

    /// What to do in a stage.
    ///
    /// - Parameter isLate: whether the stage's time is up.
    package func next(in stage: Stage, isLate: Bool) -> Step {
        if stage == .pivoting { return isLate || members.values.allSatisfy(\.isFinal) ? .goOn : .wait }
        if let obstacle { return .giveUp(obstacle) }
        let isReached = members.values.allSatisfy { $0 == .stored || (stage == .gathering && $0 == .inStep) }
        if isReached { return .goOn }
        guard isLate, let late = first(where: { $0 != .stored }) else { return .wait }
        return .giveUp("task \(late) was not ready for its pivot in time")
    }

    /// Why the group is not complete any more.
    private var obstacle: String? {
        for (task, member) in sorted {
            switch member {
            case .moved: return "task \(task) has moved to its new volume already"
            case .stayed(let reason): return "task \(task) does not pivot: \(reason)"
            case .copying, .inStep, .stored: continue
            }
        }
        return nil
    }

    /// What callers should know of the old volumes when the guest runs again; nil if they are one point in time.
    ///
    /// - Parameters:
    ///   - seconds: how long the guest was to be paused at most.
    ///   - wasResumed: whether somebody else had resumed it.
    package func warning(afterSeconds seconds: Int, wasResumed: Bool) -> String? {
        let consequence = "the old volumes are not one point in time"
        if wasResumed { return "somebody resumed the guest while its disks pivoted as a group: \(consequence)" }
        if let late = first(where: { !$0.isFinal }) {
            return "the guest was resumed after \(seconds) s, before task \(late) of the group had pivoted: \(consequence)"
        }
        let stayed = sorted.filter { $0.1 != .moved }.map(\.0.text).joined(separator: ", ")
        return stayed.isEmpty
            ? nil : "not all disks of the group pivoted: the guest still writes to the old volume of task \(stayed)"
    }

    private var sorted: [(TaskID, Member)] { members.sorted { $0.key.text < $1.key.text } }

    private func first(where isWanted: (Member) -> Bool) -> TaskID? { sorted.first { isWanted($0.1) }?.0 }
}
