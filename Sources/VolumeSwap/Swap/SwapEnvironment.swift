package import Logging
import Synchronization

/// The services and settings that all swaps share.
package final class SwapEnvironment: Sendable {
    /// Runs the domains: libvirt, or a simulated one.
    package let hypervisor: any Hypervisor
    /// Attaches volumes that neither a path nor QEMU reaches.
    package let connector: any VolumeConnector
    /// Stores all tasks durably.
    package let journal: any SwapJournal
    private let currentSettings: Mutex<SwapSettings>
    /// Reports each swap's course.
    package let observer: any SwapObserver
    package let logger: Logger
    /// The time, which tests replace.
    package let clock: any SwapClock
    /// Admits one task at a time per domain.
    package let domainLocks = DomainLocks()
    /// The volumes that tasks are about to use.
    package let reservations = VolumeReservations()
    let strays = StrayGuests()
    /// What all swaps of the host share.
    package let budget: HostBudget
    let hooks: SwapHooks

    package init(
        hypervisor: any Hypervisor, connector: any VolumeConnector, journal: any SwapJournal, settings: SwapSettings,
        observer: any SwapObserver, logger: Logger, clock: any SwapClock = SystemClock(), hooks: SwapHooks = SwapHooks()
    ) {
        self.hypervisor = hypervisor
        self.connector = connector
        self.journal = journal
        currentSettings = Mutex(settings)
        self.observer = observer
        self.logger = logger
        self.clock = clock
        self.hooks = hooks
        budget = HostBudget(clock: clock)
        budget.change(settings.budget)
    }

    /// The current settings; a step reads them when it starts.
    package var settings: SwapSettings { currentSettings.withLock { $0 } }

    /// - Parameter ledger: records what has to be undone; nil to only look.
    func resolver(_ ledger: AttachmentLedger?) -> VolumeResolver {
        VolumeResolver(hypervisor: hypervisor, connector: connector, settings: settings.volumes, ledger: ledger)
    }

    var release: VolumeRelease { VolumeRelease(hypervisor: hypervisor, connector: connector, strays: strays) }

    func change(_ settings: SwapSettings) {
        currentSettings.withLock { $0 = settings }
        budget.change(settings.budget)
    }
}

/// Hooks for simulated hypervisors and debug builds, called as each swap runs.
package struct SwapHooks: Sendable {
    /// Called with a request before anything is inspected, so that a simulated hypervisor can create its domain.
    package var willPrepare: @Sendable (SwapRequest) -> Void = { _ in }
    /// Called after a phase was handed to the journal; debug builds stop here to be killed.
    package var onPhase: @Sendable (SwapPhase) async -> Void = { _ in }
    /// Called once a guest is paused for a group pivot; debug builds stop here to be killed.
    package var onPause: @Sendable () async -> Void = {}

    package init() {}
}

extension SwapEnvironment {
    /// The logger for what concerns a domain rather than one of its swaps.
    func logger(of domain: DomainIdentity) -> Logger {
        var logger = logger
        logger[metadataKey: "instance"] = "\(domain.uuid)"
        return logger
    }
}
