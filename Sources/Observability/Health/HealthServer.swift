import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A small HTTP server for probes, scrapes and a glance: `/livez`, `/readyz`, `/metrics`, and a page at `/`.
///
/// It has its own thread, so that it answers even if Swift's executor is blocked, and visitors cannot slow tasks down.
package final class HealthServer: Sendable {
    /// Why the server could not listen or had to stop.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Limits for visitors.
    package struct Limits: Sendable {
        /// Maximum connections; one more closes the oldest, so that silent visitors cannot lock others out.
        package var connections = 64
        /// Maximum bytes of a request's header fields, and of its path.
        package var headBytes = 8192
        /// Time limit for sending the request's head, and again for receiving the response.
        package var patience = Duration.seconds(5)

        package init() {}
    }

    /// The configured address.
    package let address: ListenAddress

    private let pages: HealthPages
    private let limits: Limits
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// - Parameters:
    ///   - address: Where to listen.
    ///   - isAlive: What must hold for `/livez` to answer 200. Called, like the others, on the server's thread.
    ///   - checks: What must hold for `/readyz` to answer 200; all are run for each request.
    ///   - metrics: The body of `/metrics`, in the Prometheus text format.
    ///   - home: The page at `/`; nil for none.
    package init(
        address: ListenAddress, limits: Limits = Limits(),
        isAlive: @escaping @Sendable () -> [HealthCheck] = { [] },
        checks: @escaping @Sendable () -> [HealthCheck],
        metrics: @escaping @Sendable () -> String,
        home: (@Sendable () -> HomePage)? = nil
    ) {
        self.address = address
        self.limits = limits
        pages = HealthPages(isAlive: isAlive, checks: checks, metrics: metrics, home: home)
    }

    /// Serves until the task is cancelled, then closes the port and all connections and returns. Can be called again.
    ///
    /// - Parameter onListening: Called with the address in use, with the kernel's port if port 0 was requested.
    /// - Throws: ``Failure`` if listening on the port fails or ends unexpectedly.
    package func run(onListening: @Sendable (ListenAddress) -> Void = { _ in }) async throws(Failure) {
        let visitors = HealthVisitors(limit: limits.connections)
        let channel: any Channel
        do {
            channel = try await bootstrap(visitors).bind(host: address.host, port: Int(address.port)).get()
        } catch {
            throw Failure(description: "cannot serve HTTP on \(address): \(Self.reason(error))")
        }
        onListening(
            ListenAddress(
                host: address.host, port: UInt16(clamping: channel.localAddress?.port ?? Int(address.port)),
                isIPv6: address.isIPv6))
        let result = await withTaskCancellationHandler {
            await Self.result { try await channel.closeFuture.get() }
        } onCancel: {
            channel.close(promise: nil)
        }
        visitors.closeAll()
        if Task.isCancelled { return }
        throw Failure(description: "no longer serves HTTP on \(address): \(result.map(Self.reason) ?? "the port was closed")")
    }

    private func bootstrap(_ visitors: HealthVisitors) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                // Without it a process with no file descriptors left would spin in accept.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler(shouldForwardIOErrorCaught: false))
                }
            }
            .childChannelInitializer { [pages, limits] channel in
                visitors.admit(channel)
                return channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    var configuration = NIOHTTPDecoderLimitConfiguration()
                    configuration.maxHeaderFieldSize = limits.headBytes
                    configuration.maxHeaderListSize = limits.headBytes
                    configuration.maxHeaderFieldCount = 64
                    try pipeline.addHandler(HTTPResponseEncoder())
                    try pipeline.addHandler(
                        ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: configuration)))
                    try pipeline.addHandler(HealthVisit(pages: pages, patience: TimeAmount(limits.patience)))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.maxMessagesPerRead, value: 1)
    }

    private static func result(_ body: () async throws -> Void) async -> (any Error)? {
        do {
            try await body()
            return nil
        } catch {
            return error
        }
    }

    private static func reason(_ error: any Error) -> String {
        (error as? IOError).map { ListenAddress.reason($0.errnoCode) } ?? "\(error)"
    }
}

/// The open connections, oldest first.
final class HealthVisitors: Sendable {
    private let limit: Int
    private let open = Mutex<[any Channel]>([])

    init(limit: Int) {
        self.limit = limit
    }

    func admit(_ channel: any Channel) {
        let oldest = open.withLock { open -> (any Channel)? in
            open.append(channel)
            return open.count > limit ? open.removeFirst() : nil
        }
        oldest?.close(promise: nil)
        channel.closeFuture.whenComplete { [weak self] _ in
            self?.open.withLock { $0.removeAll { $0 === channel } }
        }
    }

    func closeAll() {
        for channel in open.withLock({ $0 }) { channel.close(promise: nil) }
    }
}
