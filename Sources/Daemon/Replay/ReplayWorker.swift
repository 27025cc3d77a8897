import Basics
package import Capture
import Foundation
import JSON
import Journal
import LibvirtHypervisor
package import Logging
import OsloMessaging
package import Settings
import SwapBus
import VolumeSwap

/// The worker of `pivotd run` without a broker: server, endpoint, service, journal and hypervisor are the same, but the transport
/// is in-process.
package struct ReplayWorker: Sendable {
    /// Concurrent swaps if copies are instant: there is no load to bound, and swaps that end together share a transaction.
    private static let instantSwaps = 128
    private static let connectTimeout = Duration.seconds(10)
    private static let stuckInterval = Duration.seconds(1)

    /// Receives the replayed messages.
    package let target = InProcessTarget()
    private let configuration: PivotdConfiguration
    private let choice: HypervisorChoice
    private let logger: Logger

    /// - Throws: ``ConfigurationError`` if `libvirt_uri` is invalid.
    package init(configuration: PivotdConfiguration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        choice = try HypervisorChoice(configuration: configuration.hypervisor, logger: logger)
    }

    /// Whether the hypervisor is simulated.
    package var isDryRun: Bool { choice.isDryRun }

    /// Serves while the work runs.
    ///
    /// - Parameter stateDirectory: The journal's directory. nil uses a temporary one, which is unlinked while the work runs, so
    ///   that nothing remains however the process ends.
    /// - Throws: `JournalError` if the state directory cannot be used, and whatever the work throws.
    package func serve<Value: Sendable>(
        stateDirectory: String?, _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let temporary = FileManager.default.temporaryDirectory.appending(path: "pivotd-replay-\(UUID().uuidString)").path
        let journal: SQLiteJournal
        do {
            defer { if stateDirectory == nil { try? FileManager.default.removeItem(atPath: temporary) } }
            journal = try await SQLiteJournal.open(directory: stateDirectory ?? temporary, isDurable: stateDirectory != nil)
        }
        do {
            let value = try await serve(journal, work)
            await journal.close()
            return value
        } catch {
            await journal.close()
            throw error
        }
    }

    private func serve<Value: Sendable>(
        _ journal: SQLiteJournal, _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let failures = NovaFailure(module: configuration.bus.failureModule)
        let replies = ReplyPublisher(publisher: target.transport, logger: logger)
        var settings = choice.settings(configuration)
        if choice.isInstant { settings.maxConcurrentSwaps = max(settings.maxConcurrentSwaps, Self.instantSwaps) }
        let reporter = choice.reporter(
            progressInterval: configuration.daemon.progressInterval, failures: failures, logger: logger)
        let service = choice.service(
            settings, journal: journal, reporter: reporter, replies: replies, failures: failures, logger: logger)
        let endpoint = SwapEndpoint(service: service, failures: failures) {}
        let server = RPCServer(
            transport: target.transport, endpoint: endpoint, replies: replies,
            // Answers must come in the recorded order, so nothing may overtake.
            configuration: .init(methods: SwapEndpoint.methods, maxConcurrentAnswers: 256, failures: failures), logger: logger)
        return try await alongside([
            { [choice] in await choice.link?.run() }, { await replies.run() }, { await service.run() },
        ]) { [self] in
            try await connect()
            // Domains that a swap has left undefined are a worker's to restore: it may be running, and has the swap in its own journal.
            try await service.recover()
            return try await alongside([{ try await server.run() }, { try await giveUpWhatIsStuck(service) }], work)
        }
    }

    /// Gives up swaps that nothing ends any more, since the replay sends nothing before they have ended.
    private func giveUpWhatIsStuck(_ service: SwapService) async throws {
        while true {
            try await Task.sleep(for: Self.stuckInterval)
            guard target.waitsForSwaps, service.isAtRest else { continue }
            target.giveUp(reason: "nothing ends it any more: it is held, or waits for a swap that is, or the queue is paused")
        }
    }

    /// Waits for libvirt, but not forever: a replay should fail if it is unavailable.
    private func connect() async throws {
        guard let link = choice.link else { return }
        try await withThrowingTaskGroup(of: Void.self) { [choice, uri = configuration.hypervisor.libvirtURI] group in
            defer { group.cancelAll() }
            group.addTask { await choice.hypervisor.waitUntilConnected() }
            group.addTask {
                try await Task.sleep(for: Self.connectTimeout)
                let reason = link.lastError ?? "no answer within \(Self.connectTimeout)"
                throw HypervisorError(
                    .connectionLost, "cannot connect to libvirt at \(uri): \(reason); give --libvirt-uri URI, or dry-run:")
            }
            try await group.next()
        }
        try Task.checkCancellation()
    }
}
