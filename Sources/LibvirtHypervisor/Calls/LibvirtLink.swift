import Libvirt
package import Logging
import Synchronization
package import VolumeSwap

/// Keeps a connection to libvirt open: opens it, opens another when it ends, with back-off.
package final class LibvirtLink: Sendable {
    private struct State {
        var connection: LibvirtConnection?
        var waiters: [UInt64: CheckedContinuation<LibvirtConnection?, Never>] = [:]
        var nextWaiter: UInt64 = 0
        var lastError: String?
    }

    package let uri: String
    /// The connections for calls that may hang; ``connection()`` is for look-ups and events.
    let calls: CallConnections
    private let logger: Logger
    private let state = Mutex(State())

    package init(uri: String, clock: any SwapClock = SystemClock(), logger: Logger) {
        self.uri = uri
        self.logger = logger
        calls = CallConnections(uri: uri, clock: clock, logger: logger)
    }

    package var isConnected: Bool { state.withLock { $0.connection != nil } }
    /// Why there is no connection, for the readiness page.
    package var lastError: String? { state.withLock { $0.lastError } }

    /// Runs until the task is cancelled, then closes the connection.
    package func run() async {
        var pause = Duration.milliseconds(100)
        while !Task.isCancelled {
            do {
                let connection = try await LibvirtConnection.open(uri: uri, logger: logger)
                pause = .milliseconds(100)
                logger.info("connected to libvirt", metadata: ["uri": "\(uri)"])
                publish(connection)
                _ = try? await connection.waitUntilClosed()
                retract()
                await connection.close()
                await calls.closeAll()
                if !Task.isCancelled { logger.warning("the connection to libvirt is lost, opening another") }
            } catch {
                state.withLock { $0.lastError = error.description }
                logger.error("cannot connect to libvirt: \(error)", metadata: ["uri": "\(uri)"])
            }
            guard (try? await Task.sleep(for: pause)) != nil else { break }  // a bounded back-off
            pause = min(pause * 2, .seconds(5))
        }
        let waiters = state.withLock { state in
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume(returning: nil) }
    }

    /// The open connection, waiting for one.
    ///
    /// - Throws: `CancellationError` when the waiting task is cancelled or the link has ended.
    func connection() async throws(CancellationError) -> LibvirtConnection {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let connection = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state -> LibvirtConnection?? in
                    if let connection = state.connection { return .some(connection) }
                    if Task.isCancelled { return .some(nil) }
                    state.waiters[number] = continuation
                    return nil
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: number) }?.resume(returning: nil)
        }
        guard let connection else { throw CancellationError() }
        return connection
    }

    /// Takes a connection out of use on which a call failed because it is gone, though libvirt may not have announced it.
    func report(broken connection: LibvirtConnection) async {
        let isCurrent = state.withLock { state in
            guard state.connection === connection else { return false }
            state.connection = nil
            return true
        }
        if isCurrent { await connection.close() }
    }

    private func publish(_ connection: LibvirtConnection) {
        let waiters = state.withLock { state in
            state.connection = connection
            state.lastError = nil
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume(returning: connection) }
    }

    private func retract() {
        state.withLock { state in
            state.connection = nil
            state.lastError = "the connection was lost"
        }
    }
}
