import Daemon
import JSON
import Logging
import OsloMessaging
import Settings
import Synchronization

@testable import Capture

/// Whether every request gets its outcome from the whole worker, on a simulated hypervisor and with a journal of its own.
enum TaskCheck {
    /// What became of each body that was sent, and what is wrong with that.
    struct Result: Sendable {
        var endings: [Int: String] = [:]
        var faults: [(index: Int, fault: String)] = []
    }

    static func result(of bodies: [[UInt8]]) async throws -> Result {
        let configuration = try PivotdConfiguration.load(
            flags: ["libvirt_uri": "dry-run:"], environment: [:], defaultFile: "/no/such/file")
        let worker = try ReplayWorker(
            configuration: configuration, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let outcomes = Outcomes()
        try await worker.serve(stateDirectory: nil) {
            for (index, body) in bodies.enumerated() {
                guard let message = message(body, index) else { continue }
                outcomes.expect(index)
                await worker.target.send(message) { outcomes.note(index, $0) }
            }
            await outcomes.waitUntilComplete()
            await worker.target.finish()
        }
        return outcomes.result
    }

    /// The body as a replay sends it; nil for what is not sent, or would wait for another request.
    private static func message(_ body: [UInt8], _ index: Int) -> ReplayMessage? {
        let line = CaptureLine(capturedAt: nil, exchange: "openstack", routingKey: "pivotd.h", body: .init(body))
        var content = CapturedMessage(line)
        var id: String?
        switch content {
        case .reply, .notification: return nil
        case .request(let request):
            guard !["pause_queue", "drain"].contains(request.method), request.args["options"]?["hold"]?.boolValue != true else {
                return nil
            }
            // Most of them come from the same few messages; some may stay duplicates.
            if !index.isMultiple(of: 8) { content = .request(renewed(request)) }
            id = request.messageID
        case .unreadable(_, let address): id = address?.messageID
        }
        return ReplayMessage(
            number: index, location: CaptureLocation(file: "mutations", line: index + 1), line: line, content: content,
            recordedMessageID: id)
    }

    private static func renewed(_ request: RPCRequest) -> RPCRequest {
        var inner = request.inner
        FreshIDs().renew(&inner)
        return (try? RPCRequest(inner: inner)) ?? request
    }
}

/// Collects the outcomes of the requests that were sent.
private final class Outcomes: Sendable {
    private struct State {
        var expected: Set<Int> = []
        var isSent = false
        var result = TaskCheck.Result()
    }

    /// Longer than a busy machine takes; only silence lasts so long.
    private static let patience = Duration.seconds(300)

    private let state = Mutex(State())
    private let complete = AsyncStream<Never>.makeStream()

    func expect(_ index: Int) { state.withLock { _ = $0.expected.insert(index) } }

    func note(_ index: Int, _ outcome: ReplayOutcome) {
        let isComplete = state.withLock { state in
            if state.expected.remove(index) == nil { state.result.faults.append((index, "a second outcome: \(outcome.summary)")) }
            if case .lost(let reason) = outcome { state.result.faults.append((index, "lost: \(reason)")) }
            if case .reply(.failure(let failure), _) = outcome, failure.kwargs["reason_code"] == "internal" {
                state.result.faults.append((index, "\(failure)"))
            }
            state.result.endings[index] = String(outcome.summary.prefix { $0 != ":" })
            return state.isSent && state.expected.isEmpty
        }
        if isComplete { complete.continuation.finish() }
    }

    /// Waits for the outcomes of all that has been sent.
    func waitUntilComplete() async {
        let isComplete = state.withLock { state in
            state.isSent = true
            return state.expected.isEmpty
        }
        if isComplete { return }
        await withTaskGroup { group in
            group.addTask { for await _ in self.complete.stream {} }
            group.addTask { try? await Task.sleep(for: Self.patience) }
            await group.next()
            group.cancelAll()
        }
    }

    var result: TaskCheck.Result {
        state.withLock { state in
            var result = state.result
            result.faults += state.expected.sorted().map { ($0, "no outcome") }
            return result
        }
    }
}
