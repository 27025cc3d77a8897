import Dispatch
import Foundation
import UnixSignals

/// Ctrl-C in a command that talks to the bus: ends it in order, or after a moment anyway.
struct Interruption: Sendable {
    /// Seconds in which it ends in order, so that its reply queue goes. A broker that does not answer could take half a minute.
    private static let patience = 2.0

    private let signals: UnixSignalsSequence
    private let farewell: @Sendable (SentSwap?) -> String

    /// Traps the signals.
    ///
    /// - Parameter farewell: What the command says at its end, of the swap that its session has sent.
    init(_ signals: UnixSignal..., saying farewell: @escaping @Sendable (SentSwap?) -> String = { _ in "" }) async {
        self.signals = await UnixSignalsSequence(trapping: signals)
        self.farewell = farewell
    }

    /// Waits for a signal.
    ///
    /// - Throws: ``CommandFailure`` with status `interrupted`.
    func wait(_ session: BusSession) async throws {
        for await _ in signals {
            DispatchQueue.global().asyncAfter(deadline: .now() + Self.patience) {
                let text = farewell(session.sent)
                if !text.isEmpty { StandardStream.error.write(line: text) }
                // The C library's exit handlers may wait for what hangs.
                _exit(ExitStatus.interrupted.rawValue)
            }
            throw CommandFailure(.interrupted, farewell(session.sent))
        }
        throw CancellationError()
    }
}
