package import Logging
import Synchronization

/// What every swap works with.
package final class SwapEnvironment: Sendable {
    package let hypervisor: any Hypervisor
    package let connector: any VolumeConnector
    package let journal: any SwapJournal
    private let currentSettings: Mutex<SwapSettings>
    package let observer: any SwapObserver
    package let logger: Logger
    package let clock: any SwapClock
    package let domainLocks = DomainLocks()
    package let reservations: VolumeReservations
    let hooks: SwapHooks

    package init(
        hypervisor: any Hypervisor, connector: any VolumeConnector, journal: any SwapJournal, settings: SwapSettings,
        observer: any SwapObserver, logger: Logger, clock: any SwapClock = SystemClock(),
        reservations: VolumeReservations = VolumeReservations(), hooks: SwapHooks = SwapHooks()
    ) {
        self.hypervisor = hypervisor
        self.connector = connector
        self.journal = journal
        currentSettings = Mutex(settings)
        self.observer = observer
        self.logger = logger
        self.clock = clock
        self.reservations = reservations
        self.hooks = hooks
    }

    package var settings: SwapSettings { currentSettings.withLock { $0 } }

    /// - Parameter ledger: hears of what has to be undone.
    func resolver(_ ledger: AttachmentLedger) -> VolumeResolver {
        VolumeResolver(hypervisor: hypervisor, connector: connector, settings: settings.volumes, ledger: ledger)
    }

    func change(_ settings: SwapSettings) { currentSettings.withLock { $0 = settings } }
}

/// What others want to know of every swap as it runs.
package struct SwapHooks: Sendable {
    /// Called with a request before anything is looked at: a simulated hypervisor makes its domain up.
    package var willPrepare: @Sendable (SwapRequest) -> Void = { _ in }
    /// Called after a phase was handed to the journal. Debug builds stop here on purpose, to be killed.
    package var onPhase: @Sendable (SwapPhase) async -> Void = { _ in }

    package init() {}
}
