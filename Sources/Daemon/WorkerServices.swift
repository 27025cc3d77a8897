import Basics
import Foundation
import Journal
import LibvirtHypervisor
import Logging
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
        var repeats = RepeatFilter()
        while !Task.isCancelled {
            do {
                try await server.run { [logger] in logger.info("health pages on http://\($0)") }
            } catch {
                if let count = repeats.pass("\(error)", at: .now) {
                    let metadata: Logger.Metadata? = count > 0 ? ["repeats": "\(count)"] : nil
                    logger.error("\(error); swaps continue, and serving is retried", metadata: metadata)
                }
            }
            guard (try? await Task.sleep(for: backoff.pause())) != nil else { return }
        }
    }
}
