import Basics
import Dispatch
import Synchronization

/// Writes a display to standard output from a thread of its own, so that a move never waits for whoever reads it: a terminal may be
/// stopped, and a pipe full.
final class DisplayOutput: Sendable {
    /// Maximum bytes that wait for the reader before a display leaves something out.
    private static let capacity = 1 << 16
    /// How long a cancelled command waits for the reader.
    private static let patience = Duration.seconds(1)

    private struct State {
        var texts = 0
        var bytes = 0
        var waiters = Waiters<Void>()
    }

    private let put: @Sendable (String) -> Void
    private let queue = DispatchQueue(label: "display")
    private let state = Mutex(State())

    /// - Parameter put: writes a text, however long the reader takes.
    init(put: @escaping @Sendable (String) -> Void = { StandardStream.output.write($0) }) { self.put = put }

    /// Whether the reader keeps up.
    var hasRoom: Bool { state.withLock { $0.bytes < Self.capacity } }

    /// Queues a text behind those before it; never waits.
    func write(_ text: String) {
        guard !text.isEmpty else { return }
        state.withLock { state in
            state.texts += 1
            state.bytes += text.utf8.count
        }
        queue.async { [self] in
            put(text)
            state.withLock { state in
                state.texts -= 1
                state.bytes -= text.utf8.count
                if state.texts == 0 { state.waiters.resumeAll(()) }
            }
        }
    }

    /// Waits until everything is written. A cancelled task gives a reader that has stalled up after a second: Ctrl-C must end its command.
    func flush() async {
        await whenWritten()
        guard Task.isCancelled else { return }
        let written: @Sendable () async -> Void = { [self] in await whenWritten() }
        let limit: @Sendable () async -> Void = { try? await Task.sleep(for: Self.patience) }
        // A task of its own is not cancelled.
        _ = await Task { await first(of: [written, limit]) }.value
    }

    /// Returns once everything is written, or the task is cancelled.
    private func whenWritten() async {
        let waiter = state.withLock { state -> Waiter<Void>? in state.texts == 0 ? nil : state.waiters.add() }
        await waiter?.value(ifCancelled: ())
    }
}
