import JSON
import Logging
import Synchronization

@testable import OsloMessaging
@testable import SwapBus

/// Whether a server settles every delivery, and answers every call once.
enum ServerCheck {
    /// Decodes the arguments and answers at once.
    private struct Endpoint: RPCEndpoint {
        func take(_ request: RPCRequest) -> RPCRequest { request }

        func carryOut(_ request: RPCRequest) async -> RPCDisposition {
            if let refusal = ArgumentCheck.refusal(of: request) {
                return .reply(.failure(NovaFailure().failure(refusal, task: nil)))
            }
            return .reply(.success(.object(request.args)))
        }
    }

    /// What is wrong, with the index of the body; several are only looked at one by one if something is.
    static func faults(of bodies: [[UInt8]]) async -> [(index: Int, fault: String)] {
        let together = await outcome(of: bodies)
        guard !together.isEmpty else { return [] }
        var found: [(Int, String)] = []
        for (index, body) in bodies.enumerated() { found += await outcome(of: [body]).map { (index, $0) } }
        return found.isEmpty ? together.map { (0, "only together with those that follow: \($0)") } : found
    }

    private static func outcome(of bodies: [[UInt8]]) async -> [String] {
        var expected: [String: Int] = [:]
        for body in bodies { if let caller = caller(of: body) { expected[caller, default: 0] += 1 } }
        let book = AnswerBook(deliveries: bodies.count, answers: expected)
        let transport = InProcessTransport(
            onPublish: { published in
                book.noteAnswer(published.body)
                return .confirmed
            }, onSettle: { _, settlement in book.noteSettlement(settlement) })
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let replies = ReplyPublisher(publisher: transport, logger: logger)
        let server = RPCServer(
            transport: transport, endpoint: Endpoint(), replies: replies,
            configuration: .init(methods: SwapEndpoint.methods, maxConcurrentAnswers: 4096), logger: logger)
        await withTaskGroup { group in
            group.addTask { try? await server.run() }
            group.addTask { await replies.run() }
            for body in bodies { transport.deliver(body) }
            await book.waitUntilComplete()
            await transport.close()
            await group.next()
            group.cancelAll()
        }
        return book.faults
    }

    /// The id of the call that somebody waits for; nil if it is a cast, or none can be read.
    static func caller(of body: [UInt8]) -> String? {
        guard let inner = inner(of: body) else { return MessageEnvelope.address(inUnreadable: body)?.messageID }
        guard let id = inner["_msg_id"]?.stringValue, let queue = inner["_reply_q"]?.stringValue, !id.isEmpty, !queue.isEmpty
        else { return nil }
        return queue.utf8.starts(with: "amq.rabbitmq.".utf8) ? nil : id
    }

    /// The content, found without the decoder; an empty object if it cannot be any decodable message's.
    private static func inner(of body: [UInt8]) -> JSONValue? {
        guard let outer = try? JSONValue(parsing: body) else { return nil }
        guard let version = outer["oslo.version"], let message = outer["oslo.message"] else { return outer }
        guard let text = message.stringValue, let number = version.stringValue, RPCVersion(number)?.major == 2 else { return [:] }
        return try? JSONValue(parsing: text)
    }
}

/// Counts settlements and answers, and says when all are there.
private final class AnswerBook: Sendable {
    private struct State {
        var settled = 0
        var answers: [String: Int] = [:]
        var count = 0
        var faults: [String] = []
    }

    /// Longer than a busy machine takes; only silence lasts so long.
    private static let patience = Duration.seconds(120)

    private let deliveries: Int
    private let expected: [String: Int]
    private let expectedCount: Int
    private let state = Mutex(State())
    private let complete = AsyncStream<Never>.makeStream()

    init(deliveries: Int, answers: [String: Int]) {
        self.deliveries = deliveries
        expected = answers
        expectedCount = answers.values.reduce(0, +)
    }

    func noteSettlement(_ settlement: InProcessTransport.Settlement) {
        update { state in
            state.settled += 1
            if settlement == .requeued { state.faults.append("requeued") }
        }
    }

    func noteAnswer(_ body: [UInt8]) {
        let reply = try? RPCReply(decoding: body)
        if let reply, !reply.isFinal { return }
        update { state in
            guard let reply else { return state.faults.append("an answer that cannot be read") }
            state.answers[reply.messageID, default: 0] += 1
            state.count += 1
            if case .failure(let failure) = reply.content, failure.className.isEmpty || failure.message.isEmpty {
                state.faults.append("a failure that says nothing")
            }
        }
    }

    private func update(_ change: (inout State) -> Void) {
        let isComplete = state.withLock { state in
            change(&state)
            return state.settled >= deliveries && state.count >= expectedCount
        }
        if isComplete { complete.continuation.finish() }
    }

    func waitUntilComplete() async {
        await withTaskGroup { group in
            group.addTask { for await _ in self.complete.stream {} }
            group.addTask { try? await Task.sleep(for: Self.patience) }
            await group.next()
            group.cancelAll()
        }
    }

    var faults: [String] {
        state.withLock { state in
            var faults = state.faults
            if state.settled != deliveries { faults.append("\(state.settled) of \(deliveries) deliveries are settled") }
            for id in Set(expected.keys).union(state.answers.keys) {
                let (wanted, given) = (expected[id] ?? 0, state.answers[id] ?? 0)
                if wanted != given { faults.append("call \(id.prefix(40)): \(given) answers instead of \(wanted)") }
            }
            return faults
        }
    }
}
