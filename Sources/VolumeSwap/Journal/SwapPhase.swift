/// Where a task is. Every phase is journaled before the step it names is taken, so that a crash in that step is known for what it is;
/// those that the domain itself shows afterwards are written while the step goes on.
package enum SwapPhase: String, Sendable, Hashable, Codable, CaseIterable {
    /// In the journal, waiting for its turn.
    case accepted
    /// Looking; the new volume may be connected. The domain is untouched.
    case preparing
    /// `rebase` of a persistent domain: its definition is about to be taken away, and is saved here.
    case undefining
    /// The copy is about to be started.
    case starting
    case copying
    /// The mirror is in step.
    case ready
    /// The pivot is about to be asked for.
    case pivoting
    /// Pivoted: the VM runs on the new volume; resize.
    case finishing
    /// The stored configuration is about to be written and both are read back.
    case storing
    /// Something failed before the pivot: end the job, restore the configuration, let go of the new volume.
    case rollingBack = "rolling_back"
    case completed
    case failed
    case aborted

    package var isFinal: Bool { self == .completed || self == .failed || self == .aborted }

    /// The state that `get_swap` shows.
    package var publicState: String {
        switch self {
        case .accepted: "queued"
        case .preparing, .undefining, .starting: "preparing"
        case .finishing, .storing, .rollingBack: "finishing"
        default: rawValue
        }
    }

    /// Every state `get_swap` can show.
    package static let publicStates = [
        "queued", "preparing", "copying", "ready", "pivoting", "finishing", "completed", "failed", "aborted",
    ]
}
