import Foundation
import JSON
import OsloMessaging
import Synchronization

/// Sends the requests of capture files to a target, at the pace of the recording, and compares the answers with the recorded
/// ones.
package final class Replayer: Sendable {
    /// What to replay, and how fast.
    package struct Options: Sendable {
        /// Speed relative to the recording.
        package var speed = ReplayClock.Speed.factor(1)
        /// Maximum requests to replay; nil for all. In a file, recorded answers after the last one are still used.
        package var limit: Int?
        /// All of these must match.
        package var filters: [CaptureFilter] = []
        /// Renames the objects that messages refer to.
        package var map = IDMap()
        /// nil keeps the recorded ids.
        package var freshIDs: FreshIDs?
        /// Stops at the first broken line.
        package var isStrict = false
        /// Compares answers without sizes, because the target's volumes are not the recorded ones.
        package var ignoresSizes = false
        /// Maximum requests awaiting their outcomes.
        package var window = 256

        package init() {}
    }

    /// The result of a replay.
    package struct Summary: Sendable, Hashable {
        /// Requests sent.
        package var requests = 0
        /// Calls answered with a result.
        package var succeeded = 0
        /// Calls answered with a failure.
        package var failed = 0
        /// Messages acknowledged without a reply.
        package var accepted = 0
        /// Messages acknowledged as duplicates.
        package var duplicates = 0
        /// Messages rejected.
        package var rejected = 0
        /// Messages that were undeliverable, requeued or never answered.
        package var lost = 0
        /// Lines that are not messages.
        package var brokenLines = 0
        /// Lines that are not requests (answers, notifications) or that the filter excluded.
        package var skipped = 0
        /// Answers compared with recorded ones.
        package var compared = 0
        /// Compared answers that differ.
        package var differences = 0
        /// Answers without a recorded counterpart.
        package var uncompared = 0
        /// Requests without an outcome yet.
        package var underWay: Int { requests - succeeded - failed - accepted - duplicates - rejected - lost }
    }

    /// What happens during a replay, in no particular order of messages.
    package enum Event: Sendable {
        case outcome(ReplayMessage, ReplayOutcome, after: Duration)
        case difference(ReplayPlace, String)
        case broken(CaptureLocation, reason: String)
    }

    private struct State {
        var summary = Summary()
        var comparison: OutcomeComparison
        /// Lines read beyond the limit so far, in search of recorded answers.
        var linesBehind = 0
        var unanswered: Set<String> = []

        /// Whether it is still worth looking for recorded answers.
        var looksForAnswers: Bool { !unanswered.isEmpty && linesBehind < OutcomeComparison.capacity }
    }

    private let target: any ReplayTarget
    private let options: Options
    private let onEvent: @Sendable (Event) -> Void
    private let state: Mutex<State>
    private let window: ReplayWindow
    private let causality = ReplayCausality()

    /// - Parameter onEvent: Called for each outcome, difference and broken line.
    package init(target: any ReplayTarget, options: Options, onEvent: @escaping @Sendable (Event) -> Void) {
        self.target = target
        self.options = options
        self.onEvent = onEvent
        state = Mutex(State(comparison: OutcomeComparison(ignoringSizes: options.ignoresSizes)))
        window = ReplayWindow(options.window)
    }

    /// The result so far.
    package var summary: Summary {
        state.withLock { state in
            var summary = state.summary
            summary.uncompared = state.comparison.unmatched
            return summary
        }
    }

    /// The map's old names that occurred in no message.
    package var unusedMaps: [String] { options.map.unused }

    /// Replays the files one after the other, and waits for all outcomes.
    ///
    /// - Throws: ``CaptureError`` if a file cannot be read; `CancellationError`.
    package func replay(_ readers: [CaptureReader]) async throws -> Summary {
        var clock = ReplayClock(speed: options.speed)
        reading: for reader in readers {
            while true {
                let isBehindLimit = isBehindLimit
                if isBehindLimit, !looksBehindLimit(reader) { break reading }
                guard let entry = try await reader.next() else { break }
                try Task.checkCancellation()
                if isBehindLimit {
                    if case .message(let line, _) = entry { takeAnswer(line) }
                    continue
                }
                switch entry {
                case .broken(let location, let reason):
                    state.withLock { $0.summary.brokenLines += 1 }
                    onEvent(.broken(location, reason: reason))
                    if options.isStrict { break reading }
                case .message(let line, let location): try await take(line, location, &clock)
                }
            }
        }
        await waiting { await window.waitUntilEmpty() }
        try Task.checkCancellation()
        await target.finish()
        return summary
    }

    /// Waits for outcomes.
    private func waiting(_ wait: () async -> Void) async {
        target.senderWaits(true)
        await wait()
        target.senderWaits(false)
    }

    private var isBehindLimit: Bool { options.limit.map { limit in state.withLock { $0.summary.requests >= limit } } ?? false }

    /// Whether to read on for recorded answers; not in a pipe, which may never end.
    private func looksBehindLimit(_ reader: CaptureReader) -> Bool {
        reader.fraction != nil && state.withLock { $0.looksForAnswers }
    }

    /// Handles a line beyond the limit, where only answers to requests before it matter.
    private func takeAnswer(_ line: CaptureLine) {
        state.withLock { $0.linesBehind += 1 }
        guard case .reply(let reply) = CapturedMessage(line), reply.isFinal,
            state.withLock({ $0.unanswered.remove(reply.messageID) }) != nil
        else { return }
        record(reply)
    }

    private func take(_ line: CaptureLine, _ location: CaptureLocation, _ clock: inout ReplayClock) async throws {
        let content = CapturedMessage(line)
        switch content {
        case .reply(let reply):
            state.withLock { state in
                state.summary.skipped += 1
                if reply.isFinal { state.unanswered.remove(reply.messageID) }
            }
            if reply.isFinal { causality.recordedReply(reply.messageID) }
            if reply.isFinal { record(reply) }
            return
        case .unreadable where line.exchange.isEmpty && line.routingKey.hasPrefix("reply_"), .notification:
            state.withLock { $0.summary.skipped += 1 }
            return
        case .request, .unreadable: break
        }
        guard options.filters.allSatisfy({ $0.matches(line, content) }) else {
            state.withLock { $0.summary.skipped += 1 }
            return
        }
        let number = state.withLock { $0.summary.requests } + 1
        if let due = clock.due(line.capturedAt) { try await Task.sleep(until: due, clock: .continuous) }
        // Whoever queries a swap has seen the answers before.
        if case .request(let request) = content, request.method == "get_swap" {
            await waiting { await causality.untilAnswered() }
        }
        await waiting { await window.enter() }
        try Task.checkCancellation()
        state.withLock { state in
            state.summary.requests = number
            if options.limit != nil, case .request(let request) = content, let id = request.messageID {
                state.unanswered.insert(id)
            }
        }
        let message = renamed(line, content, location, number)
        if let id = message.recordedMessageID { causality.sent(id) }
        let start = ContinuousClock.now
        await target.send(message) { [self] outcome in finish(message, outcome, after: start.duration(to: .now)) }
    }

    /// The message with mapped names and new ids.
    private func renamed(
        _ line: CaptureLine, _ content: CapturedMessage, _ location: CaptureLocation, _ number: Int
    ) -> ReplayMessage {
        var line = line
        var content = content
        var recordedID: String?
        switch content {
        case .request(let request): recordedID = request.messageID
        case .unreadable(_, let address): recordedID = address?.messageID
        default: break
        }
        if !options.map.isEmpty {
            line.routingKey = options.map.mapped(line.routingKey)
            if case .json(let value) = line.body { line.body = .json(options.map.mapped(value)) }
            content = CapturedMessage(line)
        }
        if let fresh = options.freshIDs, case .request(let request) = content {
            var inner = request.inner
            fresh.renew(&inner)
            if let renewed = try? RPCRequest(inner: inner) {
                content = .request(renewed)
                line.body = .json(["oslo.version": "2.0", "oslo.message": .string(JSONValue.object(inner).serialized())])
            }
        }
        return ReplayMessage(number: number, location: location, line: line, content: content, recordedMessageID: recordedID)
    }

    private func record(_ reply: RPCReply) {
        var body = reply.encoded()
        if !options.map.isEmpty, case .json(let value) = CaptureLine.Body(body) {
            body = options.map.mapped(value).serializedBytes()
        }
        let recorded = body
        judge(state.withLock { $0.comparison.recorded(reply.messageID, recorded) })
    }

    private func finish(_ message: ReplayMessage, _ outcome: ReplayOutcome, after duration: Duration) {
        let verdict = state.withLock { state -> OutcomeComparison.Verdict? in
            switch outcome {
            case .reply(.failure, _): state.summary.failed += 1
            case .reply: state.summary.succeeded += 1
            case .accepted: state.summary.accepted += 1
            case .duplicate: state.summary.duplicates += 1
            case .rejected: state.summary.rejected += 1
            case .lost: state.summary.lost += 1
            }
            guard case .reply(_, let body) = outcome else { return nil }
            return state.comparison.replayed(message, body)
        }
        onEvent(.outcome(message, outcome, after: duration))
        judge(verdict)
        if let id = message.recordedMessageID { causality.ended(id) }
        window.leave()
    }

    private func judge(_ verdict: OutcomeComparison.Verdict?) {
        guard let verdict else { return }
        state.withLock { state in
            state.summary.compared += 1
            if verdict.difference != nil { state.summary.differences += 1 }
        }
        if let difference = verdict.difference { onEvent(.difference(verdict.place, difference)) }
    }
}
