import AMQP
import Basics
import Journal
import LibvirtHypervisor
import Metrics
import OsloMessaging
import SwapBus
import Synchronization
import VolumeSwap

/// The gauges of a worker that are read at each scrape.
struct WorkerMetrics: Sendable {
    let service: SwapService
    let reporter: SwapReporter
    let bus: Bus
    let journal: SQLiteJournal
    let choice: HypervisorChoice
    /// The link counts; this shows 0 for a dry run, too.
    private let libvirtReconnects = ReconnectCounter(.libvirt)

    init(service: SwapService, reporter: SwapReporter, bus: Bus, journal: SQLiteJournal, choice: HypervisorChoice) {
        self.service = service
        self.reporter = reporter
        self.bus = bus
        self.journal = journal
        self.choice = choice
    }

    /// Records what is true now.
    @Sendable func update() {
        Gauge(
            label: "pivotd_build_info", dimensions: [("version", pivotdVersion), ("hypervisor", choice.hypervisor.kind)]
        ).record(1)
        updateSwaps()
        updateConnections()
        reporter.updateMetrics()
        Gauge(label: "pivotd_hung_domains").record(choice.hungDomains.count)
        Gauge(label: "pivotd_journal_wait_seconds").record(journal.oldestWait / .seconds(1))
    }

    private func updateSwaps() {
        Gauge(label: "pivotd_swaps_running").record(service.running)
        Gauge(label: "pivotd_swaps_queued").record(service.queued)
        Gauge(label: "pivotd_swaps_held").record(service.held)
        let oldest = service.oldest
        Gauge(label: "pivotd_swaps_running_oldest_age_seconds").record(oldest.running)
        Gauge(label: "pivotd_swaps_queued_oldest_age_seconds").record(oldest.queued)
        Gauge(label: "pivotd_rollbacks_pending").record(service.pendingRollBacks)
        Gauge(label: "pivotd_queue_paused").record(service.isPaused ? 1 : 0)
        Gauge(label: "pivotd_queue_paused_by_schedule").record(service.isOffSchedule ? 1 : 0)
        Gauge(label: "pivotd_swaps_running_limit").record(service.environment.settings.maxConcurrentSwaps)
        Gauge(label: "pivotd_bandwidth_limit_bytes_per_second").record(service.environment.budget.bandwidth ?? 0)
    }

    private func updateConnections() {
        let transport = bus.transport
        var connections: [Connection: Bool] = [
            .requests: transport.consumer.isConnected, .replies: transport.publisher.isConnected,
            .libvirt: choice.link?.isConnected ?? true,
        ]
        connections[.notifications] = bus.notifications?.isConnected
        for (connection, isUp) in connections {
            Gauge(label: "pivotd_connection_up", dimensions: [connection.dimension]).record(isUp ? 1 : 0)
        }
    }
}

/// A connection of the worker, as the metrics name it.
enum Connection: String, Sendable {
    case requests
    case replies
    case notifications
    case libvirt

    var dimension: (String, String) { ("connection", rawValue) }
}

/// Counts how often a connection was made again after the first time.
final class ReconnectCounter: Sendable {
    private let counter: Counter
    private let isFirst = Atomic(true)

    init(_ connection: Connection) {
        counter = Counter(label: "pivotd_reconnects_total", dimensions: [connection.dimension])
    }

    func connected() {
        if !isFirst.exchange(false, ordering: .relaxed) { counter.increment() }
    }
}
