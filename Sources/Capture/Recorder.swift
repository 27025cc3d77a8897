import Foundation
package import OsloMessaging
import Synchronization

/// Writes what a tap delivers to a capture file.
package struct Recorder: Sendable {
    /// What a recording came to.
    package struct Count: Sendable, Hashable {
        package var messages = 0
        /// Of the bodies.
        package var bytes: Int64 = 0

        package init() {}
    }

    /// Stops after so many messages.
    package var limit: Int?
    /// Stops when for so long nothing has come.
    package var idleTimeout: Duration?
    package var redacts = true
    /// Keeps of the default exchange's messages only the answers to requests that were recorded.
    package var keepsOnlyRepliesToRecorded = false
    /// Told after each message.
    package var onMessage: @Sendable (Count) -> Void = { _ in }
    /// Told when the connection was lost and is there again: what was sent meanwhile is missing.
    package var onGap: @Sendable () -> Void = {}

    package init() {}

    /// Records until a limit is reached, the transport ends or the task is cancelled; each message is acknowledged once written.
    ///
    /// - Throws: ``CaptureError`` when the file cannot be written.
    package func record(from transport: some Transport, to writer: CaptureWriter) async throws -> Count {
        let activity = LastActivity()
        return try await withThrowingTaskGroup(of: Count?.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await take(transport, writer) { activity.note() } }
            if let idleTimeout {
                group.addTask {
                    while true {
                        let due = activity.moment + idleTimeout
                        if due <= .now { break }
                        try await Task.sleep(until: due, clock: .continuous)
                    }
                    await transport.close()
                    return nil
                }
            }
            while let count = try await group.next() {
                if let count { return count }
            }
            return Count()
        }
    }

    private func take(
        _ transport: some Transport, _ writer: CaptureWriter, onActivity: @escaping @Sendable () -> Void
    ) async throws -> Count {
        var count = Count()
        var replies = KnownReplies()
        var redactor = CaptureRedactor()
        var epoch: UInt64?
        for await message in transport.inbound {
            onActivity()
            if let epoch, epoch != message.settlement.epoch { onGap() }
            epoch = message.settlement.epoch
            let line = CaptureLine(message, capturedAt: .now)
            if let wanted = select(line.traced ?? line, &replies) {
                try await writer.write(redacts ? redactor.redacted(wanted) : wanted)
                count.messages += 1
                count.bytes += Int64(message.body.count)
                onMessage(count)
            }
            await transport.acknowledge(message.settlement)
            if let limit, count.messages >= limit { break }
        }
        return count
    }

    private func select(_ line: CaptureLine, _ replies: inout KnownReplies) -> CaptureLine? {
        guard keepsOnlyRepliesToRecorded else { return line }
        if line.exchange.isEmpty { return replies.queues.contains(line.routingKey) ? line : nil }
        if case .request(let request) = CapturedMessage(line), let queue = request.replyQueue { replies.note(queue) }
        return line
    }
}

/// When something came last.
private final class LastActivity: Sendable {
    private let last = Mutex(ContinuousClock.now)

    var moment: ContinuousClock.Instant { last.withLock { $0 } }

    func note() { last.withLock { $0 = .now } }
}

/// The reply queues of recorded requests, the newest of them.
private struct KnownReplies {
    private static let capacity = 10_000
    private(set) var queues: Set<String> = []
    private var order: [String] = []

    mutating func note(_ queue: String) {
        guard queues.insert(queue).inserted else { return }
        order.append(queue)
        if order.count > Self.capacity {
            queues.subtract(order.prefix(Self.capacity / 2))
            order.removeFirst(Self.capacity / 2)
        }
    }
}
