import DryRun
import LibvirtHypervisor
import Logging
import OsloMessaging
import Settings
import SwapBus
import VolumeSwap

/// The hypervisor that `libvirt_uri` names, and what depends on it.
struct HypervisorChoice: Sendable {
    let hypervisor: any Hypervisor
    /// Whether copies take no time at all.
    let isInstant: Bool
    private let connector: any VolumeConnector
    private let libvirt: LibvirtHypervisor?
    private var hooks = SwapHooks()

    /// nil for a dry run.
    var link: LibvirtLink? { libvirt?.link }
    var isDryRun: Bool { libvirt == nil }
    /// The domains that do not respond, longest first.
    var hungDomains: [HungDomain] { libvirt?.hungDomains ?? [] }

    /// - Throws: ``ConfigurationError`` for a `dry-run:` URI that cannot be read.
    init(configuration: PivotdConfiguration.Hypervisor, logger: Logger) throws(ConfigurationError) {
        guard !DryRunOptions.isMeant(by: configuration.libvirtURI) else {
            let options = try DryRunOptions(uri: configuration.libvirtURI)
            libvirt = nil
            isInstant = options.rateMiBs == nil
            let simulated = try DryRunHypervisor(options: options, mountPointBase: configuration.mountPointBase)
            hypervisor = simulated
            hooks.willPrepare = { simulated.expect($0) }
            connector = DryRunConnector()
            return
        }
        let libvirt = LibvirtHypervisor(
            link: LibvirtLink(uri: configuration.libvirtURI, logger: logger),
            allowsMonitorCommands: configuration.allowMonitorCommands, logger: logger)
        self.libvirt = libvirt
        isInstant = false
        hypervisor = libvirt
        connector =
            configuration.connectorHelper.map {
                ConnectorHelper(executable: $0, timeout: configuration.connectorTimeout, logger: logger)
            } ?? NoConnector()
    }

    /// The settings of swaps on this hypervisor. A dry run touches no path, so it allows all paths.
    func settings(_ configuration: PivotdConfiguration) -> SwapSettings {
        var settings = SwapSettings(
            volumes: VolumeSettings(allowedPaths: PathPolicy(isDryRun ? ["/"] : configuration.hypervisor.allowedPaths)))
        settings.volumes.mountPointBase = configuration.hypervisor.mountPointBase
        settings.volumes.prefersQEMUInitiator = configuration.hypervisor.preferQEMUInitiator
        settings.maxConcurrentSwaps = configuration.daemon.maxConcurrentSwaps
        settings.budget.bandwidthMiBs = Int64(configuration.budget.bandwidthMiBPerSecond)
        settings.budget.schedule = configuration.budget.schedule
        settings.budget.rules = configuration.budget.rules
        settings.sampleInterval = min(.seconds(1), max(.milliseconds(100), configuration.daemon.progressInterval))
        settings.storeRetry = configuration.daemon.storeRetry
        settings.defaults.bandwidthMiBs = Int64(configuration.swap.bandwidthMiBPerSecond)
        settings.defaults.granularityKiB = Int64(configuration.swap.granularityKiB)
        settings.defaults.bufferMiB = Int64(configuration.swap.bufferMiB)
        let convergence = Convergence(rawValue: configuration.swap.convergence.rawValue) ?? .off
        settings.defaults.convergence = convergence
        settings.defaults.synchronousWrites = configuration.swap.synchronousWrites || convergence == .always
        settings.defaults.guestLatencyBudget = configuration.swap.guestLatencyBudget
        settings.convergenceWindow = configuration.swap.convergenceWindow
        settings.defaults.detectZeroes = configuration.swap.detectZeroes
        settings.defaults.timeoutS = configuration.swap.timeout.map { $0 / .seconds(1) } ?? 0
        settings.defaults.stallTimeoutS = configuration.swap.stallTimeout.map { $0 / .seconds(1) } ?? 0
        return settings
    }

    /// What reports the swaps on this hypervisor.
    func reporter(
        progressInterval: Duration, failures: NovaFailure, notifier: Notifier? = nil, logger: Logger
    ) -> SwapReporter {
        SwapReporter(
            notifier: notifier, failures: failures, hypervisor: hypervisor.kind, progressInterval: progressInterval,
            logger: logger)
    }

    /// The service that carries out swaps on this hypervisor and delivers their outcomes.
    func service(
        _ settings: SwapSettings, journal: any SwapJournal, reporter: SwapReporter, replies: ReplyPublisher,
        failures: NovaFailure, testStop: TestStopHook? = nil, logger: Logger
    ) -> SwapService {
        var hooks = hooks
        if let testStop {
            hooks.onPhase = { await testStop($0.rawValue) }
            hooks.onPause = { await testStop("paused") }
        }
        let environment = SwapEnvironment(
            hypervisor: hypervisor, connector: connector, journal: journal, settings: settings, observer: reporter,
            logger: logger, hooks: hooks)
        return SwapService(environment: environment) { record, replyTo, outcome in
            await replies.deliver(record, replyTo, outcome, failures: failures)
        }
    }
}
