import Glibc
import VolumeSwap

/// Resolves a host name to addresses in canonical form.
struct HostAddresses: Sendable {
    private static let pool = ProbePool()
    private static let patience = Duration.seconds(2)

    /// This host's own addresses, however they are written, become ``NetworkLocation/loopback``.
    ///
    /// - Returns: Nothing if the name does not resolve in time, or this host's own addresses are not known.
    func addresses(of name: String) async -> [String] {
        await Self.pool.ask(name, patience: Self.patience) { Self.resolve(name) } ?? []
    }

    private static func resolve(_ name: String) -> [String] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        guard let own = ownAddresses() else { return [] }
        var found: [String] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe entry.pointee.ai_addr, let text = unsafe text(address, entry.pointee.ai_addrlen) {
                let plain = isLoopback(text) || own.contains(text) ? NetworkLocation.loopback : text
                if !found.contains(plain) { found.append(plain) }
            }
            unsafe next = entry.pointee.ai_next
        }
        return found
    }

    /// - Returns: Nil if they cannot be listed, as without AF_NETLINK.
    private static func ownAddresses() -> Set<String>? {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else { return nil }
        defer { unsafe freeifaddrs(list) }
        var found: Set<String> = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe entry.pointee.ifa_addr {
                let family = unsafe Int32(address.pointee.sa_family)
                let size = family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
                if family == AF_INET || family == AF_INET6, let text = unsafe text(address, socklen_t(size)) {
                    found.insert(text)
                }
            }
            unsafe next = entry.pointee.ifa_next
        }
        return found
    }

    private static func text(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let result = unsafe getnameinfo(address, length, &buffer, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST)
        guard result == 0 else { return nil }
        let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.hasPrefix("::ffff:") ? String(text.dropFirst("::ffff:".count)) : text
    }

    private static func isLoopback(_ address: String) -> Bool {
        address.hasPrefix("127.") || ["::1", "0.0.0.0", "::"].contains(address)
    }
}
