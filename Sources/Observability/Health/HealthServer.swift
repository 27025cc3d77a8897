import FlyingFox
import FlyingSocks
import Foundation

/// A small HTTP server for probes and scrapes: `/livez`, `/readyz`, `/metrics`.
///
/// It waits in epoll on a thread of its own and uses no CPU between requests.
package final class HealthServer: Sendable {
    /// Why the server could not listen or had to stop.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// The address it was given.
    package let address: ListenAddress

    private let server: HTTPServer

    /// - Parameters:
    ///   - address: Where to listen.
    ///   - checks: What must hold for `/readyz` to answer 200; all are run for each request.
    ///   - metrics: The body of `/metrics`, in the Prometheus text format.
    /// - Throws: ``Failure`` when the address is not one.
    package init(
        address: ListenAddress,
        checks: [@Sendable () async -> HealthCheck],
        metrics: @escaping @Sendable () -> String
    ) throws(Failure) {
        self.address = address
        let pages = HealthPages(checks: checks, metrics: metrics)
        do {
            let configuration =
                address.isIPv6
                ? HTTPServer.Configuration(
                    address: try .inet6(ip6: address.host, port: address.port), sharedRequestReplaySize: 65_536, logger: .disabled
                )
                : HTTPServer.Configuration(
                    address: try .inet(ip4: address.host, port: address.port), sharedRequestReplaySize: 65_536, logger: .disabled)
            self.server = HTTPServer(config: configuration, handler: pages)
        } catch {
            throw Failure(description: "\(address) is not an address to listen on")
        }
    }

    /// Serves until the task is cancelled, then closes the port and returns.
    ///
    /// - Throws: ``Failure`` when the port cannot be listened on, or when listening ends by itself.
    package func run() async throws(Failure) {
        do {
            try await server.run()
        } catch {
            if Task.isCancelled { return }
            throw Failure(description: "cannot serve HTTP on \(address): \(Self.reason(error))")
        }
    }

    /// The address in use once the server listens: with the kernel's port when 0 was asked for.
    ///
    /// - Throws: ``Failure`` when it does not listen within five seconds.
    package func listeningAddress() async throws(Failure) -> ListenAddress {
        do {
            try await server.waitUntilListening(timeout: 5)
        } catch {
            throw Failure(description: "not listening on \(address)")
        }
        switch await server.listeningAddress {
        case .ip4(let host, let port): return ListenAddress(host: host, port: port, isIPv6: false)
        case .ip6(let host, let port): return ListenAddress(host: host, port: port, isIPv6: true)
        default: return address
        }
    }

    private static func reason(_ error: any Error) -> String {
        guard let error = error as? SocketError, case .failed(_, let code, let message) = error else {
            return error.localizedDescription
        }
        switch code {
        case EADDRINUSE: return "the port is in use by another process (\(message))"
        case EADDRNOTAVAIL: return "no network interface of this machine has the address (\(message))"
        case EACCES: return "not permitted (\(message))"
        default: return message
        }
    }
}
