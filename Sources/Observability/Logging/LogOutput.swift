import Foundation
import Synchronization

/// Writes whole lines to a file descriptor, each with one write(2), one at a time.
package final class LogOutput: Sendable {
    /// The process's standard error.
    package static let standardError = LogOutput(descriptor: 2)

    private let descriptor: Int32
    private let turn = Mutex<Void>(())

    package init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Writes the line and a line feed. A line that the descriptor refuses (closed, full disk) is dropped: there is nowhere
    /// left to say so.
    func write(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        turn.withLock { _ in
            var rest = bytes[...]
            while !rest.isEmpty {
                let written = unsafe rest.withUnsafeBytes { unsafe Foundation.write(descriptor, $0.baseAddress, $0.count) }
                if written >= 0 {
                    rest = rest.dropFirst(written)
                } else if errno == EAGAIN {
                    var writable = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    guard unsafe poll(&writable, 1, 1000) > 0 else { return }
                } else if errno != EINTR {
                    return
                }
            }
        }
    }
}
