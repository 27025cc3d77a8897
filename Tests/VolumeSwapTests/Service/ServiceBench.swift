import JSON
import Synchronization
import Testing

@testable import VolumeSwap

/// A service whose replies are recorded.
final class ServiceBench: Sendable {
    struct Reply: Sendable {
        var id: TaskID
        var replyTo: ReplyTo
        var outcome: SwapOutcome
    }

    let bench: Bench
    let service: SwapService
    private let state = Mutex<[Reply]>([])
    private let arrivals: AsyncStream<Reply>
    private let arrive: AsyncStream<Reply>.Continuation

    /// - Parameter onDeliver: happens before a reply is confirmed.
    init(_ bench: Bench = Bench(), onDeliver: @escaping @Sendable (ReplyTo) async -> Void = { _ in }) {
        self.bench = bench
        let (arrivals, arrive) = AsyncStream<Reply>.makeStream()
        self.arrivals = arrivals
        self.arrive = arrive
        service = SwapService(environment: bench.environment) { record, replyTo, outcome in
            arrive.yield(Reply(id: record.id, replyTo: replyTo, outcome: outcome))
            await onDeliver(replyTo)
            return .delivered
        }
    }

    /// Runs the service around `body`.
    func running(_ body: (SwapService) async throws -> Void) async throws {
        let run = Task { await service.run() }
        do {
            try await body(service)
        } catch {
            run.cancel()
            await run.value
            throw error
        }
        run.cancel()
        await run.value
    }

    /// Submits a task, and answers at once if the service says so, as the server does.
    func submit(_ record: SwapRecord) async -> String {
        switch await service.carryOut(service.take(record)) {
        case .accepted: return "accepted"
        case .underWay: return "under way"
        case .shared: return "shared"
        case .ended(let outcome):
            if let replyTo = record.replyTo { arrive.yield(Reply(id: record.id, replyTo: replyTo, outcome: outcome)) }
            return "ended"
        case .notStored: return "not stored"
        }
    }

    func nextReply() async throws -> Reply {
        for await reply in arrivals { return reply }
        throw CancellationError()
    }

    /// Returns once the journal has settled the next task.
    func nextSettlement() async throws -> TaskID {
        for await id in bench.journal.settlements { return id }
        throw CancellationError()
    }
}
