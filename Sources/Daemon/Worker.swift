import AMQP
import Foundation
import Journal
import LibvirtHypervisor
package import Logging
import Metrics
import Observability
import OsloMessaging
import ServiceLifecycle
package import Settings
import SwapBus
import VolumeSwap

/// `pivotd run`: consumes until SIGTERM or SIGINT.
///
/// Start-up order: open the journal, resume unfinished tasks, connect to libvirt, consume. It stops in reverse order, within
/// `drain_timeout_s`.
package struct Worker {
    private let configuration: PivotdConfiguration
    private let logger: Logger
    private let health = WorkerHealth()
    private let stop = StopRequest()
    private let reloader: ConfigurationReloader

    /// - Parameter reload: Rereads the configuration on SIGHUP.
    package init(
        configuration: PivotdConfiguration, logger: Logger,
        reload: @escaping @Sendable () throws(ConfigurationError) -> PivotdConfiguration
    ) {
        self.configuration = configuration
        self.logger = logger
        reloader = ConfigurationReloader(configuration, logger: logger, load: reload)
    }

    /// Runs until SIGTERM or SIGINT, then drains.
    ///
    /// - Throws: `JournalError` if the state directory cannot be used, ``ConfigurationError``, or the error of a failed service.
    package func run() async throws {
        let registry = PrometheusRegistry(help: MetricHelp.texts, bounds: MetricHelp.bounds)
        MetricsSystem.bootstrap(registry)
        let signals = try SignalThread(
            drainLimit: configuration.daemon.drainTimeout, logger: logger,
            onStop: { [health, stop] in
                health.stops()
                stop.request()
            }, onReload: { [reloader] in reloader.reload() })
        signals.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [health] in await health.executor.run() }
            if let pages = healthPages(registry) { group.addTask { await pages.run() } }
            defer { group.cancelAll() }
            try await serve(signals)
        }
        logger.info("stopped")
    }

    private func healthPages(_ registry: PrometheusRegistry) -> HealthService? {
        guard let address = configuration.daemon.httpAddress else { return nil }
        let server = HealthServer(
            address: address, isAlive: { [health] in health.liveness }, checks: { [health] in health.readiness },
            metrics: { [health] in
                health.updateMetrics()
                return registry.text() + ProcessMetrics.text()
            }, home: { [health, host = configuration.bus.host] in StatusPage(health, host: host).page })
        return HealthService(server: server, logger: logger)
    }

    private func serve(_ signals: SignalThread) async throws {
        let choice = try HypervisorChoice(configuration: configuration.hypervisor, logger: logger)
        let bus = try Bus(configuration: configuration.bus, logger: logger)
        guard let journal = try await openJournal() else { return }
        let reporter = choice.reporter(
            progressInterval: configuration.daemon.progressInterval, failures: bus.failures,
            notifier: bus.notifications?.notifier, logger: logger)
        let service = choice.service(
            choice.settings(configuration), journal: journal, reporter: reporter, replies: bus.replies, failures: bus.failures,
            testStop: testStop(journal), logger: logger)
        let requests = RequestService(
            bus: bus, service: service, journal: journal, choice: choice, health: health,
            drainGrace: min(.seconds(5), configuration.daemon.drainTimeout / 2), logger: logger)
        reloader.onReload { configuration in
            service.change(choice.settings(configuration))
            signals.setDrainLimit(configuration.daemon.drainTimeout)
        }
        let metrics = WorkerMetrics(service: service, reporter: reporter, bus: bus, journal: journal, choice: choice)
        health.runs(
            .init(
                readiness: requests.checks, vitals: requests.vitals, updateMetrics: metrics.update,
                overview: { service.overview() }))
        let services: [any Service] = [
            LibvirtService(link: choice.link),
            JournalKeeper(journal: journal, retention: configuration.daemon.journalRetention, logger: logger),
            bus,
            SwapRunService(service: service),
            requests,
        ]
        let group = ServiceGroup(configuration: .init(services: services, logger: logger))
        stop.onRequest { Task.detached { await group.triggerGracefulShutdown() } }
        try await group.run()
        await journal.close()
    }

    /// - Returns: nil if a stop is requested before the journal is open.
    private func openJournal() async throws -> SQLiteJournal? {
        let directory = configuration.daemon.stateDirectory
        let systemd = SystemdNotifier()
        let opening = Task { [health, logger] in
            try await JournalOpening(logger: logger) { reason in
                health.waits(for: reason)
                systemd.status("start-up is waiting: \(reason)")
            } open: { () async throws(JournalError) in
                try await SQLiteJournal.open(directory: directory, logger: logger)
            }.run()
        }
        stop.onRequest { opening.cancel() }
        return try await opening.value
    }

    /// Where a debug build must stop so that a test can kill it.
    private func testStop(_ journal: SQLiteJournal) -> TestStopHook? {
        #if DEBUG
            TestStop.hook(stateDirectory: configuration.daemon.stateDirectory, journal)
        #else
            nil
        #endif
    }
}
