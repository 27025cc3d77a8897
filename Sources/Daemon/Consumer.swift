import AMQP
import Journal
import Logging
import Observability
import OsloMessaging
import ServiceLifecycle
import VolumeSwap

/// Recovers, then takes requests in until graceful shutdown.
struct Consumer: Service {
    private let bus: Bus
    private let service: SwapService
    private let journal: SQLiteJournal
    private let choice: HypervisorChoice
    private let server: RPCServer
    private let storeTrouble: AsyncStream<Void>
    private let logger: Logger
    private let systemd = SystemdNotifier()

    init(bus: Bus, service: SwapService, journal: SQLiteJournal, choice: HypervisorChoice, logger: Logger) {
        self.bus = bus
        self.service = service
        self.journal = journal
        self.choice = choice
        self.logger = logger
        let (stream, trouble) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        storeTrouble = stream
        let endpoint = SwapEndpoint(service: service, replies: bus.replies, failures: bus.failures) { trouble.yield() }
        server = RPCServer(
            transport: bus.transport, endpoint: endpoint, replies: bus.replies,
            configuration: .init(methods: SwapEndpoint.methods, failures: bus.failures), logger: logger)
    }

    /// Ready means consuming and connected to libvirt.
    var checks: [@Sendable () async -> HealthCheck] {
        [
            { [server] in
                if case .suspended(let reason) = server.state {
                    return HealthCheck("bus", ok: false, detail: "not consuming: \(reason)")
                }
                return HealthCheck("bus", ok: server.isReady, detail: server.isReady ? "" : "not consuming")
            },
            { [choice] in
                guard let link = choice.link else { return HealthCheck("libvirt", ok: true, detail: "dry-run") }
                guard link.isConnected else {
                    return HealthCheck("libvirt", ok: false, detail: link.lastError ?? "not connected")
                }
                // One hung guest keeps nobody else's swap waiting, so this is no reason not to be ready.
                let hung = choice.hungDomains.map { "\($0.name) (\($0.call), \(($0.since.duration(to: .now)).rounded))" }
                return HealthCheck(
                    "libvirt", ok: true, detail: hung.isEmpty ? "" : "domains that do not answer: \(hung.joined(separator: ", "))"
                )
            },
        ]
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown { try await consume() }
    }

    private func consume() async throws {
        // Places and new volumes are taken before anything else can ask for them, and before libvirt has answered.
        let count = try await service.recover { [bus] record in
            guard record.outcome == nil, let replyTo = record.replyTo else { return }
            _ = bus.replies.startHeartbeats(for: ReplyAddress(replyTo))
        }
        if count > 0 { logger.notice("took up \(count) unfinished tasks") }
        await choice.hypervisor.waitUntilConnected()
        guard !Task.isCancelled else { return }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await service.restoreOrphans() }
            group.addTask { try await serve() }
            group.addTask { await resumeWhenStorable() }
            group.addTask { await announce() }
            try await group.waitForAll()
        }
    }

    /// Serves until cancelled, then lets what was taken be stored and acknowledged.
    private func serve() async throws {
        await withTaskCancellationHandler {
            // Unstructured on purpose: what was taken is answered or stored although this task is cancelled.
            await Task { [server] in try await server.run() }.result.log(logger)
        } onCancel: {
            Task { [server, bus, systemd] in
                systemd.stopping()
                await server.drain()
                await bus.transport.consumer.close()
            }
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
        await systemd.runWatchdog { true }
    }

    /// After the journal refused a task: tries it now and then, and consumes again when it stores.
    private func resumeWhenStorable() async {
        for await _ in storeTrouble {
            var pause = Duration.milliseconds(500)
            while !Task.isCancelled {
                guard (try? await Task.sleep(for: pause)) != nil else { return }  // a bounded back-off
                pause = min(pause * 2, .seconds(10))
                do {
                    try await journal.probe()
                    try await server.resume()
                    logger.notice("the journal stores again: consuming goes on")
                    break
                } catch {
                    logger.error("the journal still cannot store: \(error)")
                }
            }
        }
    }
}

extension Result where Failure == any Error {
    fileprivate func log(_ logger: Logger) {
        if case .failure(let error) = self { logger.error("serving ended: \(error)") }
    }
}
