/// Ways to make a world wrong on purpose. Each makes pivotd break a promise, and a check must find it: the proof that the checks can fail.
enum SimMutation: CaseIterable {
    /// pivotd is not shown the stored configurations of domains that do not run.
    case stoppedDomainsHidden
    /// Every name of a volume passes for a volume of its own.
    case aliasesDenied
    /// QEMU is never found on another volume than libvirt says.
    case unnoticedPivotDenied
    /// A definition is taken with thanks, and not stored.
    case definesDropped
    /// A cancel is taken, and nothing comes of it.
    case cancelsDropped
    /// `<mirror ready='yes'>` is not shown, only told once by the event.
    case readyHidden
    /// Outcomes are not stored.
    case outcomesForgotten
    /// Plans are not stored.
    case plansForgotten
    /// The helper detaches, and says that it did, though it did not.
    case disconnectsDropped
    /// Secrets are removed in word only.
    case secretsKept
    /// pivotd's metadata stays on the domain whatever it asks for.
    case metadataKept
    /// Autostart is set in word only.
    case autostartDropped
    /// A pivot that is under way is not shown: no job, no `<mirror>`.
    case pivotHidden

    /// What the check that finds it says, in part.
    var finding: String {
        switch self {
        case .stoppedDomainsHidden: "has stored as"
        case .aliasesDenied: "a copy onto"
        case .unnoticedPivotDenied: "runs volume"
        case .definesDropped: "no definition at the end"
        case .cancelsDropped: "left behind"
        case .readyHidden: "has not ended"
        case .outcomesForgotten: "two outcomes"
        case .plansForgotten: "no definition at the end"
        case .disconnectsDropped: "left connected"
        case .secretsKept: "secret"
        case .metadataKept: "metadata"
        case .autostartDropped: "not started with the host"
        case .pivotHidden: "after its task was answered"
        }
    }
}
