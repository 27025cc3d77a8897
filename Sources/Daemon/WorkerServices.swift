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

/// Deletes old tasks from the journal once an hour.
struct JournalKeeper: Service {
    let journal: SQLiteJournal
    let retention: Duration
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            repeat {
                do {
                    let count = try await journal.prune(before: .now.addingTimeInterval(-(retention / .seconds(1))))
                    if count > 0 { logger.info("deleted \(count) old tasks") }
                } catch {
                    logger.error("the journal could not be pruned: \(error)")
                }
            } while (try? await Task.sleep(for: .seconds(3600))) != nil
        }
    }
}

/// Serves the health pages. No failure there ends the worker: it is logged and serving is retried.
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
                logger.error("\(error); swaps continue, and serving is retried")
            }
            guard (try? await Task.sleep(for: backoff.pause())) != nil else { return }
        }
    }
}

/// Gauges that are updated on each scrape.
enum WorkerMetrics {
    static func update(service: SwapService, hungDomains: Int) {
        Gauge(label: "pivotd_hung_domains").record(hungDomains)
        Gauge(label: "pivotd_swaps_running").record(service.running)
        Gauge(label: "pivotd_swaps_queued").record(service.queued)
        Gauge(label: "pivotd_rollbacks_pending").record(service.pendingRollBacks)
    }
}

/// The HELP lines of `/metrics`.
enum MetricHelp {
    static let texts = [
        "pivotd_swaps_total": "Finished swaps, by result; failed ones also by their reason_code.",
        "pivotd_rollbacks_pending": "Swaps answered as failed whose copy could not be ended yet.",
        "pivotd_swaps_running": "Swaps under way.",
        "pivotd_swaps_queued": "Swaps that wait for their instance or a free slot.",
        "pivotd_hung_domains": "Domains whose libvirt calls do not return; /readyz and the log name them.",
        "pivotd_accept_seconds": "Seconds from a swap's arrival until its task is on disk and its message acknowledged.",
        "pivotd_swap_duration_seconds": "Seconds from the start of a swap to its outcome.",
        "pivotd_swap_overhead_seconds": "Seconds of a successful swap without the copy itself.",
        "pivotd_ready_to_pivot_seconds": "Seconds from libvirt's READY event to the pivot call.",
        "pivotd_copied_bytes_total": "Bytes copied by successful swaps.",
        "pivotd_messages": "Messages since the start, by what happened to them.",
        "pivotd_notifications": "Notifications since the start, by what happened to them.",
        "pivotd_notification_problems_total":
            "Declarations for notifications that RabbitMQ refused; /readyz and the log say why.",
        "pivotd_replies": "Replies since the start, by kind.",
    ]
}
