import Foundation
import Synchronization

/// Standard output and standard error.
enum StandardStream: Int32 {
    case output = 1
    case error = 2

    var isTerminal: Bool { isatty(rawValue) == 1 }

    /// The width of the terminal in columns; 80 when it does not tell.
    var columns: Int {
        var size = winsize()
        let status = unsafe withUnsafeMutablePointer(to: &size) { unsafe ioctl(rawValue, UInt(TIOCGWINSZ), $0) }
        return status == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// The error number of the first write to standard output that failed, 0 when none did.
    private static let outputError = Atomic<Int32>(0)

    /// Why the output is not whole: a full disk, or a reader that has gone; nil when it is.
    static var outputFailure: CommandFailure? {
        let error = outputError.load(ordering: .relaxed)
        guard error != 0 else { return nil }
        // As of any other command before `| head`, there is nothing to say.
        if error == EPIPE { return CommandFailure(.readerGone, "") }
        return CommandFailure(.failure, "standard output: \(unsafe String(cString: strerror(error)))")
    }

    /// Writes the text whole; what the descriptor refuses (a closed pipe, a full disk) is dropped, and of standard output reported at the
    /// end by ``outputFailure``.
    func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe Foundation.write(rawValue, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
            } else if written < 0, errno == EAGAIN {
                var descriptor = pollfd(fd: rawValue, events: Int16(POLLOUT), revents: 0)
                _ = unsafe poll(&descriptor, 1, -1)
            } else if written < 0, errno != EINTR {
                if self == .output { _ = Self.outputError.compareExchange(expected: 0, desired: errno, ordering: .relaxed) }
                return
            }
        }
    }

    func write(line: String) { write(line + "\n") }
}
