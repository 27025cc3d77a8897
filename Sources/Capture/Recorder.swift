import Basics
import Foundation
import JSON
package import OsloMessaging
import Synchronization

/// Writes a tap's messages to a capture file.
package struct Recorder: Sendable {
    /// How much was recorded.
    package struct Count: Sendable, Hashable {
        /// Messages recorded.
        package var messages = 0
        /// Calls among them; counted only with ``Recorder/withReplies``.
        package var calls = 0
        /// Final answers among them; counted likewise.
        package var answers = 0
        /// Whether the limit is reached and no answer is missing.
        package var isComplete = false
        /// Total size of the bodies in bytes.
        package var bytes: Int64 = 0

        package init() {}
    }

    /// Stops after this many messages; with ``withReplies``, after this many that are not answers and once all are answered.
    package var limit: Int?
    /// Stops after this long without a message.
    package var idleTimeout: Duration?
    /// Whether secrets are masked.
    package var redacts = true
    /// Whether the default exchange is tapped too; only answers to recorded requests are kept from it.
    package var withReplies = false
    /// Called after each message.
    package var onMessage: @Sendable (Count) -> Void = { _ in }
    /// Called when the limit is reached, with the number of calls still without an answer.
    package var onWaiting: @Sendable (Int) -> Void = { _ in }

    package init() {}

    /// Records until a limit is reached, the transport ends or the task is cancelled; each message is acknowledged once written.
    ///
    /// - Throws: ``CaptureError`` if the file cannot be written.
    package func record(from transport: some Transport, to writer: CaptureWriter) async throws -> Count {
        let activity = LastActivity()
        return try await alongside([{ try await close(transport, onceIdle: activity) }]) {
            try await take(transport, writer) { activity.note() }
        }
    }

    private func close(_ transport: some Transport, onceIdle activity: LastActivity) async throws {
        guard let idleTimeout else { return }
        while true {
            let due = activity.moment + idleTimeout
            if due <= .now { break }
            try await Task.sleep(until: due, clock: .continuous)
        }
        await transport.close()
    }

    private func take(
        _ transport: some Transport, _ writer: CaptureWriter, onActivity: @escaping @Sendable () -> Void
    ) async throws -> Count {
        var count = Count()
        var answers = RecordedAnswers()
        var redactor = CaptureRedactor()
        var left = limit
        for await delivered in transport.inbound {
            let message = delivered.decompressed
            let captured = CaptureLine(message, capturedAt: .now)
            let line = captured.traced ?? captured
            let isAnswer = withReplies && line.exchange.isEmpty
            if isAnswer ? answers.takes(line) : left != 0 {
                onActivity()
                if withReplies, !isAnswer { answers.expect(line) }
                try await writer.write(redacts ? redactor.redacted(line) : line)
                if !isAnswer { left = left.map { $0 - 1 } }
                count.messages += 1
                count.bytes += Int64(message.body.count)
                (count.calls, count.answers) = (answers.calls, answers.count)
                onMessage(count)
                if left == 0, !isAnswer, answers.missing > 0 { onWaiting(answers.missing) }
            }
            await transport.acknowledge(message.tag)
            if left == 0, answers.missing == 0 {
                count.isComplete = true
                onMessage(count)
                break
            }
        }
        return count
    }
}

/// When the last message arrived.
private final class LastActivity: Sendable {
    private let last = Mutex(ContinuousClock.now)

    var moment: ContinuousClock.Instant { last.withLock { $0 } }

    func note() { last.withLock { $0 = .now } }
}
