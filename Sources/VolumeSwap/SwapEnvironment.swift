package import Logging

/// What every swap works with.
package struct SwapEnvironment: Sendable {
    package var hypervisor: any Hypervisor
    package var connector: any VolumeConnector
    package var journal: any SwapJournal
    package var settings: SwapSettings
    package var observer: any SwapObserver
    package var logger: Logger

    package init(
        hypervisor: any Hypervisor, connector: any VolumeConnector, journal: any SwapJournal, settings: SwapSettings,
        observer: any SwapObserver, logger: Logger
    ) {
        self.hypervisor = hypervisor
        self.connector = connector
        self.journal = journal
        self.settings = settings
        self.observer = observer
        self.logger = logger
    }
}
