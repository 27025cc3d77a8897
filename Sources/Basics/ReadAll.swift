import Glibc

/// Why a file could not be read, in words that follow its name.
package enum ReadFailure: Error, Sendable, Hashable, CustomStringConvertible {
    case missing
    case forbidden
    case tooLarge(limit: Int)
    /// A pipe yields its content once: nothing of it is left, or nothing was written.
    case emptyPipe
    case unreadable

    fileprivate init(errno: CInt) {
        switch errno {
        case ENOENT: self = .missing
        case EACCES, EPERM: self = .forbidden
        default: self = .unreadable
        }
    }

    package var description: String {
        switch self {
        case .missing: "does not exist"
        case .forbidden: "may not be read"
        case .tooLarge(let limit): "is larger than \(Quantity.bytes(Int64(limit)))"
        case .emptyPipe: "is an empty pipe"
        case .unreadable: "cannot be read"
        }
    }
}

/// Reads a file, a device or a pipe (`<(…)`, `/dev/stdin`) to its end.
///
/// - Throws: ``ReadFailure``
package func readAll(_ path: String, atMost limit: Int = 256 << 20) throws(ReadFailure) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ReadFailure(errno: errno) }
    defer { _ = close(descriptor) }
    let bytes = try readAll(from: descriptor, atMost: limit)
    var status = stat()
    if bytes.isEmpty, unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFIFO { throw .emptyPipe }
    return bytes
}

/// Reads a descriptor to its end, waiting where it does not block.
///
/// - Throws: ``ReadFailure``
package func readAll(from descriptor: CInt, atMost limit: Int = 256 << 20) throws(ReadFailure) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = unsafe read(descriptor, &buffer, buffer.count)
        if count > 0 {
            bytes += buffer[..<count]
            guard bytes.count <= limit else { throw .tooLarge(limit: limit) }
        } else if count == 0 {
            return bytes
        } else if errno == EAGAIN {
            var readable = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&readable, 1, -1)
        } else if errno != EINTR {
            throw ReadFailure(errno: errno)
        }
    }
}
