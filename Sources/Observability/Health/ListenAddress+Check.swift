import Glibc
import NIOCore

extension ListenAddress {
    /// Why a server could not listen here now; nil if it could.
    ///
    /// Binds without listening, which does not block the port for others.
    package func listenProblem() -> String? {
        guard let address = try? SocketAddress(ipAddress: host, port: Int(port)) else { return "not an address" }
        let descriptor = socket(isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return Self.reason(errno) }
        defer { _ = close(descriptor) }
        var isReused: CInt = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &isReused, socklen_t(MemoryLayout<CInt>.size))
        let status = unsafe address.withSockAddr { unsafe bind(descriptor, $0, socklen_t($1)) }
        return status == 0 ? nil : Self.reason(errno)
    }

    /// Explains the `errno` of an attempt to listen or connect.
    static func reason(_ code: CInt) -> String {
        let message = unsafe String(cString: strerror(code))
        return switch code {
        case EADDRINUSE: "the port is in use by another process (\(message))"
        case EADDRNOTAVAIL: "no network interface of this machine has the address (\(message))"
        case EACCES: "not permitted (\(message))"
        default: message
        }
    }
}
