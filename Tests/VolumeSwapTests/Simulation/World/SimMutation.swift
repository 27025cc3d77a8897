/// Ways to make a world wrong, each of which a check must find: see ``SimulationTests``.
enum SimMutation: CaseIterable {
    /// pivotd is not shown the stored configurations of domains that do not run.
    case stoppedDomainsHidden
    /// Every path is a file of its own, whatever leads to it.
    case symlinksDenied
    /// QEMU is never found on another volume than libvirt says.
    case lostTrackDenied
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
    /// Abort and pivot hold the domain's job lock until QEMU's job has ended, as they do without VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC.
    case synchronousAbort
    /// The helper detaches, and says that it did, though it did not.
    case disconnectsDropped
}
