import AMQP
import Foundation
import Glibc
import Journal
package import Logging
import Metrics
import Observability
import OsloMessaging
import ServiceLifecycle
import UnixSignals
import VolumeSwap

/// `pivotd run`: consumes until it is told to stop.
///
/// Start-up order: open the journal, take the unfinished tasks up, connect to libvirt, consume. It stops in the reverse order, within `drain_timeout_s`.
package struct Worker {
    private let configuration: PivotdConfiguration
    private let logger: Logger

    package init(configuration: PivotdConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Returns after SIGTERM or SIGINT, drained.
    ///
    /// - Throws: `JournalError` when the state directory cannot be used, a configuration error, or why a service failed.
    package func run() async throws {
        let registry = PrometheusRegistry(help: MetricHelp.texts)
        MetricsSystem.bootstrap(registry)
        let journal = try await SQLiteJournal.open(directory: configuration.daemon.stateDirectory)
        let choice = try HypervisorChoice(configuration: configuration.hypervisor, logger: logger)
        let bus = try Bus(configuration: configuration.bus, logger: logger)
        let service = makeService(journal, choice, bus)
        let consumer = Consumer(bus: bus, service: service, journal: journal, choice: choice, logger: logger)

        var services: [any Service] = []
        if let address = configuration.daemon.httpAddress {
            let metrics: @Sendable () -> String = {
                WorkerMetrics.update(
                    service: service, counters: bus.replies.counters.snapshot, hungDomains: choice.hungDomains.count)
                return registry.text() + ProcessMetrics.text()
            }
            services.append(HealthService(server: try HealthServer(address: address, checks: consumer.checks, metrics: metrics)))
        }
        services.append(LibvirtService(link: choice.link))
        services.append(JournalKeeper(journal: journal, retention: configuration.daemon.journalRetention, logger: logger))
        services.append(bus)
        services.append(SwapRunService(service: service))
        services.append(consumer)
        let group = ServiceGroup(
            configuration: .init(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        let deadline = ExitDeadline(after: configuration.daemon.drainTimeout, logger: logger)
        try await withGracefulShutdownHandler {
            try await group.run()
        } onGracefulShutdown: {
            deadline.start()
        }
        await journal.close()
        logger.info("stopped")
    }

    private func makeService(_ journal: SQLiteJournal, _ choice: HypervisorChoice, _ bus: Bus) -> SwapService {
        var settings = choice.settings(configuration)
        #if DEBUG
            let hook = TestStop.hook(stateDirectory: configuration.daemon.stateDirectory, journal)
            if let hook { settings.onPhase = hook }
        #endif
        let reporter = SwapReporter(
            notifier: bus.notifier, failures: bus.failures, hypervisor: choice.hypervisor.kind,
            progressInterval: configuration.daemon.progressInterval, logger: logger)
        let environment = SwapEnvironment(
            hypervisor: choice.hypervisor, connector: choice.connector, journal: journal, settings: settings, observer: reporter,
            logger: logger)
        return SwapService(environment: environment) { record, replyTo, outcome in
            await bus.replies.deliver(record, replyTo, outcome, failures: bus.failures)
        }
    }
}
