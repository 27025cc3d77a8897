import Foundation

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

    /// Writes the text whole; what the descriptor refuses (a closed pipe, a full disk) is dropped.
    func write(_ text: String) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe Foundation.write(rawValue, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
            } else if errno != EINTR {
                return
            }
        }
    }

    func write(line: String) { write(line + "\n") }
}
