import Glibc

/// Writes all bytes to a descriptor, waiting for room where it does not block; returns 0, or the errno of a refusal.
package func writeAll(_ bytes: [UInt8], to descriptor: CInt) -> CInt {
    var rest = bytes[...]
    while !rest.isEmpty {
        let written = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        if written >= 0 {
            rest = rest.dropFirst(written)
        } else if errno == EAGAIN {
            var writable = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = unsafe poll(&writable, 1, -1)
        } else if errno != EINTR {
            return errno
        }
    }
    return 0
}
