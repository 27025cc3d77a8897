import AMQP
import Basics
import Journal
import Logging
import Observability
import OsloMessaging
import ServiceLifecycle
import SwapBus
import VolumeSwap

/// Recovers unfinished tasks, then accepts requests until graceful shutdown.
struct RequestService: Service {
    private let bus: Bus
    private let service: SwapService
    private let journal: SQLiteJournal
    private let choice: HypervisorChoice
    private let server: RPCServer
    private let storeTrouble: AsyncStream<Void>
    private let logger: Logger
    private let health: WorkerHealth
    private let busHealth = BusHealth()
    /// How long accepted requests may take to be stored and answered on shutdown.
    private let drainGrace: Duration
    private let systemd = SystemdNotifier()
    /// How long to hold requests that cannot be stored: RabbitMQ closes a channel over one unacknowledged for 30 minutes.
    private static let holdingLimit = Duration.seconds(20 * 60)

    init(
        bus: Bus, service: SwapService, journal: SQLiteJournal, choice: HypervisorChoice, health: WorkerHealth,
        drainGrace: Duration, logger: Logger
    ) {
        self.health = health
        self.drainGrace = drainGrace
        self.bus = bus
        self.service = service
        self.journal = journal
        self.choice = choice
        self.logger = logger
        let (stream, trouble) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        storeTrouble = stream
        let endpoint = SwapEndpoint(service: service, failures: bus.failures) { trouble.yield() }
        server = RPCServer(
            transport: bus.transport, endpoint: endpoint, replies: bus.replies,
            configuration: .init(
                methods: SwapEndpoint.methods, storedMethods: SwapEndpoint.storedMethods, slowMethods: SwapEndpoint.slowMethods,
                failures: bus.failures), logger: logger)
    }

    /// Ready means consuming and connected to libvirt, with a journal and a broker that respond.
    var checks: @Sendable () -> [HealthCheck] {
        { [bus, busHealth, server, journal, choice, service] in
            [
                busHealth.check(bus.transport, server, oldestUnconfirmed: bus.confirms.oldestUnconfirmed),
                .journal(oldestWait: journal.oldestWait),
                .libvirt(choice),
                // Paused on purpose: the worker accepts swaps as before.
                HealthCheck("queue", ok: true, detail: service.pauseDetail),
                // Optional, so the worker is ready without it.
                HealthCheck("notifications", ok: true, detail: bus.notifications?.problem ?? ""),
            ]
        }
    }

    /// What must keep making progress.
    var vitals: @Sendable () -> [Vital] {
        { [bus, journal] in
            [
                Vital(name: "journal", what: "a commit has waited", standstill: journal.oldestWait),
                Vital(
                    name: "bus", what: "the consuming thread has been stuck in one step",
                    standstill: bus.transport.consumer.standstill),
                Vital(
                    name: "bus", what: "the publishing thread has been stuck in one step",
                    standstill: bus.transport.publisher.standstill),
            ]
        }
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [busHealth, bus] in await busHealth.follow(bus.transport) }
                defer { group.cancelAll() }
                try await consume()
            }
        }
    }

    private func consume() async throws {
        // Queue places and new volumes are reserved before anything else can claim them, and before libvirt has answered.
        let count = try await service.recover { [bus] task in
            for caller in task.callers { _ = bus.replies.startHeartbeats(for: ReplyAddress(caller)) }
        }
        if count > 0 { logger.notice("resumed \(count) unfinished tasks") }
        await choice.hypervisor.waitUntilConnected()
        guard !Task.isCancelled else { return }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await service.restoreOrphans() }
            group.addTask { await service.recallRecent() }
            group.addTask { try await serve() }
            group.addTask { await resumeWhenStorable() }
            group.addTask { await announce() }
            try await group.waitForAll()
        }
    }

    /// Serves until cancelled, then lets accepted requests be stored and acknowledged.
    private func serve() async throws {
        // Unstructured on purpose: accepted requests are answered or stored even though this task is cancelled.
        let serving = Task { [server] in try await server.run() }
        await withTaskCancellationHandler {
            await serving.result.log(logger)
        } onCancel: {
            Task {
                systemd.stopping()
                await drain(serving)
            }
        }
    }

    /// Drains within the time limit. The broker redelivers the rest to the next start; a reply whose queue is gone is dropped.
    private func drain(_ serving: Task<Void, any Error>) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [drainGrace] in try? await Task.sleep(for: drainGrace) }
            group.addTask { [server] in await server.drain() }
            await group.next()
            serving.cancel()
            // Ends the serving loop, and with it what the drain waits for.
            await bus.transport.consumer.close()
            group.cancelAll()
        }
    }

    private func announce() async {
        do {
            try await bus.transport.consumer.waitUntilConnected()
            try await bus.transport.publisher.waitUntilConnected()
            await bus.transport.consumer.startConsuming()
        } catch { return }
        logger.info("ready")
        systemd.ready(status: "consuming")
        await systemd.runWatchdog { [health] in health.isAlive }
    }

    /// After the journal has refused a task, retries now and then, and resumes once it can store.
    private func resumeWhenStorable() async {
        var trouble: StoreTrouble?
        for await _ in storeTrouble {
            // A suspension that persists although the journal seemed to store is the same one.
            if trouble?.stored != server.storedCount { trouble = StoreTrouble(server.storedCount) }
            while !Task.isCancelled, var current = trouble {
                current.bytes = max(current.bytes, server.waitingBytes)
                if .now - current.heldSince > Self.holdingLimit, await !server.release() { current.heldSince = .now }
                guard (try? await Task.sleep(for: current.backoff.pause())) != nil else { return }
                trouble = current
                do {
                    try await journal.probe(bytes: current.bytes)
                    try await server.resume()
                    logger.notice("the journal can store again: accepting requests")
                    break
                } catch {
                    logger.error("the journal still cannot store: \(error)")
                }
            }
        }
    }

    private struct StoreTrouble {
        var heldSince = ContinuousClock.now
        /// Requests stored by then.
        let stored: Int
        /// Size of the largest request that could not be stored.
        var bytes = 0
        var backoff = Backoff(first: .milliseconds(500))

        init(_ stored: Int) { self.stored = stored }
    }
}

extension Result where Failure == any Error {
    fileprivate func log(_ logger: Logger) {
        if case .failure(let error) = self { logger.error("serving ended: \(error)") }
    }
}

extension SwapService {
    /// Why no new swap begins; empty if they do.
    fileprivate var pauseDetail: String {
        if isPaused { return "paused: new swaps begin after pivotd resume (resume_queue on the bus)" }
        return isOffSchedule ? "paused by the schedule: new swaps begin at its next time without pause" : ""
    }
}
