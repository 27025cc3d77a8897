/// A group pivot under way, as the journal keeps it with each of its swaps: after a crash the guest may be paused.
package struct PivotGroupMark: Sendable, Hashable, Codable {
    /// All swaps of the group.
    package var members: [TaskID]
    /// Whether pivotd pauses the guest, and so has to resume it; false if it was paused before.
    package var pauses: Bool

    package init(members: [TaskID], pauses: Bool) {
        self.members = members
        self.pauses = pauses
    }
}

/// What a restart finds of group pivots. Pure.
///
/// Pivots are only requested while all swaps of a group are stored as `pivoting`; a group that gives up has stored them as `ready` before
/// it reports that.
package struct InterruptedGroups: Sendable {
    /// The warning of swaps that pivot after a restart: their guest ran meanwhile.
    package static let warning =
        "pivotd was restarted while the disks pivoted as a group: the guest ran in between, so the old volumes are not one point in time"

    /// Swaps that are known to be still before their pivot.
    private let held: Set<TaskID>

    package init(_ unfinished: [UnfinishedTask]) {
        held = Set(
            unfinished.compactMap { task in
                if case .begun(let record) = task, record.phase == .ready { record.id } else { nil }
            })
    }

    /// Whether no pivot of the group was requested, so that all of its swaps are held again.
    package func isHeldAgain(_ mark: PivotGroupMark) -> Bool { mark.members.contains(where: held.contains) }
}
