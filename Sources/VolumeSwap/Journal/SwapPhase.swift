/// The phase of a task. Each is journaled before the step that it names, so that recovery knows which step a crash interrupted;
/// phases that the domain itself shows afterwards are written while the step runs.
package enum SwapPhase: String, Sendable, Hashable, Codable, CaseIterable {
    /// Waiting in the journal for its turn.
    case accepted
    /// The preflight runs; the new volume may be connected. The domain is untouched.
    case preparing
    /// A `rebase` is about to remove the domain's definition, which is saved here.
    case undefining
    /// The copy is about to start.
    case starting
    case copying
    /// The mirror is in sync.
    case ready
    /// The pivot is about to be requested.
    case pivoting
    /// The VM runs on the new volume; the disk is being resized.
    case finishing
    /// The stored configuration is about to be written, and both are read back.
    case storing
    /// The swap has failed: the job is ended, the configuration restored, the new volume released.
    case rollingBack = "rolling_back"
    case completed
    case failed
    case aborted

    /// Whether the task is over.
    package var isFinal: Bool { self == .completed || self == .failed || self == .aborted }

    /// Whether the copy is done: the pivot has been requested, and not failed.
    var isFromPivotOn: Bool { self == .pivoting || isAfterPivot }

    /// Whether the guest has moved.
    var isAfterPivot: Bool { self == .finishing || self == .storing }

    /// The state that `get_swap` shows.
    package var publicState: String {
        switch self {
        case .accepted: "queued"
        case .preparing, .undefining, .starting: "preparing"
        case .finishing, .storing, .rollingBack: "finishing"
        default: rawValue
        }
    }

    /// The states of a task that is not over.
    static let unfinishedStates = Set(allCases.filter { !$0.isFinal }.map(\.publicState))

    /// Every state that `get_swap` can show.
    package static let publicStates = [
        "queued", "preparing", "copying", "ready", "pivoting", "finishing", "completed", "failed", "aborted",
    ]
}
