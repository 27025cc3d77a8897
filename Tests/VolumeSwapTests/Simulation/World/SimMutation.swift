/// Ways to break a world on purpose. Each makes pivotd break a promise that a check must find, which proves that the checks can
/// fail.
enum SimMutation: CaseIterable {
    /// pivotd is not shown the stored configurations of domains that do not run.
    case stoppedDomainsHidden
    /// Every name of a volume counts as a separate volume.
    case aliasesDenied
    /// QEMU is never found on a different volume than libvirt says.
    case unnoticedPivotDenied
    /// A define succeeds but is not stored.
    case definesDropped
    /// A cancel is accepted but has no effect.
    case cancelsDropped
    /// `<mirror ready='yes'>` is not shown; only the event reports it, once.
    case readyHidden
    /// Outcomes are not stored.
    case outcomesForgotten
    /// Outcomes are stored but never synced.
    case outcomesUnsynced
    /// Plans are not stored.
    case plansForgotten
    /// Plans are stored but never synced.
    case plansUnsynced
    /// The helper reports a detach that did not happen.
    case disconnectsDropped
    /// Removing a secret succeeds but has no effect.
    case secretsKept
    /// pivotd's metadata stays on the domain whatever it requests.
    case metadataKept
    /// Setting autostart succeeds but has no effect.
    case autostartDropped
    /// A pivot under way is not shown: no job, no `<mirror>`.
    case pivotHidden

    /// A paused guest goes on writing.
    case pauseDropped
    /// Resuming a guest succeeds but has no effect.
    case resumeDropped

    /// Part of the message of the check that finds it.
    var finding: String {
        switch self {
        case .stoppedDomainsHidden: "has stored as"
        case .aliasesDenied: "a copy onto"
        case .unnoticedPivotDenied: "runs volume"
        case .definesDropped: "no definition at the end"
        case .cancelsDropped: "left behind"
        case .readyHidden: "has not ended"
        case .outcomesForgotten, .outcomesUnsynced: "two outcomes"
        case .plansForgotten, .plansUnsynced: "no definition at the end"
        case .disconnectsDropped: "left connected"
        case .secretsKept: "secret"
        case .metadataKept: "metadata"
        case .autostartDropped: "not started with the host"
        case .pauseDropped: "not at one point in time"
        case .resumeDropped: "stays paused by pivotd"
        case .pivotHidden: "after its task was answered"
        }
    }
}
