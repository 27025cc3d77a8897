import Basics
import Libvirt
package import Logging
import Metrics
import Synchronization
package import VolumeSwap

/// Keeps a connection to libvirt open, reopening it with back-off when it ends.
package final class LibvirtLink: Sendable {
    private struct State {
        var connection: LibvirtConnection?
        var waiters = Waiters<LibvirtConnection?>()
        var lastError: String?
    }

    /// The libvirt URI, such as `qemu:///system`.
    package let uri: String
    /// The connections for calls that may hang; ``connection()`` is for look-ups and events.
    let calls: CallConnections
    /// For the configurations of domains that hang.
    let configurations: CallConnections
    private let logger: Logger
    private let reconnects = Counter(label: "pivotd_reconnects_total", dimensions: [("connection", "libvirt")])
    private let state = Mutex(State())

    /// Opens nothing before ``run()``.
    package init(uri: String, clock: any SwapClock = SystemClock(), logger: Logger) {
        self.uri = uri
        self.logger = logger
        calls = CallConnections(uri: uri, capacity: .calls, clock: clock, logger: logger)
        configurations = CallConnections(uri: uri, capacity: .configurations, clock: clock, logger: logger)
    }

    /// Whether there is currently a connection.
    package var isConnected: Bool { state.withLock { $0.connection != nil } }
    /// Why there is no connection, for /readyz.
    package var lastError: String? { state.withLock { $0.lastError } }

    /// Runs until the task is cancelled, then closes the connection.
    package func run() async {
        var backoff = Backoff(first: .milliseconds(100), longest: .seconds(5))
        var isFirst = true
        var repeats = RepeatFilter()
        while !Task.isCancelled {
            do {
                let connection = try await LibvirtConnection.open(uri: uri, logger: logger)
                backoff.reset()
                repeats.reset()
                logger.info("connected to libvirt", metadata: ["uri": "\(uri)"])
                if !isFirst { reconnects.increment() }
                isFirst = false
                publish(connection)
                _ = try? await connection.waitUntilClosed()
                retract()
                await connection.close()
                await calls.closeAll()
                await configurations.closeAll()
                if !Task.isCancelled { logger.warning("the connection to libvirt was lost, reconnecting") }
            } catch {
                state.withLock { $0.lastError = error.description }
                if let count = repeats.pass("\(error)", at: .now) {
                    var metadata: Logger.Metadata = ["uri": "\(uri)"]
                    if count > 0 { metadata["repeats"] = "\(count)" }
                    logger.error("cannot connect to libvirt: \(error)", metadata: metadata)
                }
            }
            guard (try? await Task.sleep(for: backoff.pause())) != nil else { break }
        }
        state.withLock { $0.waiters.resumeAll(nil) }
    }

    /// Waits for an open connection.
    ///
    /// - Throws: `CancellationError` if the waiting task is cancelled or the link has ended.
    func connection() async throws(CancellationError) -> LibvirtConnection {
        let waiter = state.withLock { state in state.connection.map { Waiter($0) } ?? state.waiters.add() }
        guard let connection = await waiter.value(ifCancelled: nil) else { throw CancellationError() }
        return connection
    }

    /// Takes a connection out of use after a call failed because it is gone, even if libvirt has not announced that.
    func report(broken connection: LibvirtConnection) async {
        let isCurrent = state.withLock { state in
            guard state.connection === connection else { return false }
            state.connection = nil
            return true
        }
        if isCurrent { await connection.close() }
    }

    private func publish(_ connection: LibvirtConnection) {
        state.withLock { state in
            state.connection = connection
            state.lastError = nil
            state.waiters.resumeAll(connection)
        }
    }

    private func retract() {
        state.withLock { state in
            state.connection = nil
            state.lastError = "the connection was lost"
        }
    }
}
