import Basics
import Foundation
import Journal
import LibvirtHypervisor
import Logging
import Metrics
import Observability
import ServiceLifecycle
import VolumeSwap

/// The small services of a worker, each one loop.

struct LibvirtService: Service {
    let link: LibvirtLink?

    func run() async throws {
        await cancelWhenGracefulShutdown {
            if let link { await link.run() } else { try? await gracefulShutdown() }
        }
    }
}

struct SwapRunService: Service {
    let service: SwapService

    func run() async throws { await cancelWhenGracefulShutdown { await service.run() } }
}

/// Forgets old tasks, once an hour.
struct JournalKeeper: Service {
    let journal: SQLiteJournal
    let retention: Duration
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            repeat {
                do {
                    let count = try await journal.prune(before: .now.addingTimeInterval(-(retention / .seconds(1))))
                    if count > 0 { logger.info("forgot \(count) old tasks") }
                } catch {
                    logger.error("the journal could not be pruned: \(error)")
                }
            } while (try? await Task.sleep(for: .seconds(3600))) != nil
        }
    }
}

/// Serves the health pages. Nothing that happens to them ends the worker: what fails is logged and tried again.
struct HealthService: Sendable {
    let server: HealthServer
    let logger: Logger

    /// Runs until the task is cancelled.
    func run() async {
        var backoff = Backoff(first: .seconds(1))
        while !Task.isCancelled {
            do {
                try await server.run { [logger] in logger.info("health pages on http://\($0)") }
            } catch {
                logger.error("\(error); swaps go on, and it is tried again")
            }
            guard (try? await Task.sleep(for: backoff.pause())) != nil else { return }
        }
    }
}

/// Figures that are read when somebody asks for them.
enum WorkerMetrics {
    static func update(service: SwapService, hungDomains: Int) {
        Gauge(label: "pivotd_hung_domains").record(hungDomains)
        Gauge(label: "pivotd_swaps_running").record(service.running)
        Gauge(label: "pivotd_swaps_queued").record(service.queued)
        Gauge(label: "pivotd_rollbacks_pending").record(service.pendingRollBacks)
    }
}

/// The help lines of `/metrics`.
enum MetricHelp {
    static let texts = [
        "pivotd_swaps_total": "Swaps that ended, by result; those that failed by their reason_code too.",
        "pivotd_rollbacks_pending": "Swaps that were answered as failed, and whose copy could not be ended yet.",
        "pivotd_swaps_running": "Swaps under way.",
        "pivotd_swaps_queued": "Swaps that wait for their instance or a free slot.",
        "pivotd_hung_domains": "Domains whose libvirt calls do not come back; /readyz and the log name them.",
        "pivotd_accept_seconds": "Seconds from a swap's arrival until its task is on disk and its message acknowledged.",
        "pivotd_swap_duration_seconds": "Seconds from the start of a swap to its outcome.",
        "pivotd_swap_overhead_seconds": "Seconds of a successful swap without the copy itself.",
        "pivotd_ready_to_pivot_seconds": "Seconds from libvirt's READY event to the call of the pivot.",
        "pivotd_copied_bytes_total": "Bytes copied by successful swaps.",
        "pivotd_messages": "Messages since the start, by what became of them.",
        "pivotd_notifications": "Notifications since the start, by what became of them.",
        "pivotd_notification_problems_total":
            "Declarations for notifications that RabbitMQ refused; /readyz and the log say why.",
        "pivotd_replies": "Replies since the start, by kind.",
    ]
}
