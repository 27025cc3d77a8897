import Basics
import Foundation
import Synchronization

/// Standard output and standard error.
enum StandardStream: Int32 {
    case output = 1
    case error = 2

    var isTerminal: Bool { isatty(rawValue) == 1 }

    /// The terminal's width in columns; 80 if unknown.
    var columns: Int { size.map(\.ws_col).flatMap { $0 > 0 ? Int($0) : nil } ?? 80 }

    /// The terminal's height in lines; 24 if unknown.
    var rows: Int { size.map(\.ws_row).flatMap { $0 > 0 ? Int($0) : nil } ?? 24 }

    private var size: winsize? {
        var size = winsize()
        let status = unsafe withUnsafeMutablePointer(to: &size) { unsafe ioctl(rawValue, UInt(TIOCGWINSZ), $0) }
        return status == 0 ? size : nil
    }

    /// The errno of the first failed write to standard output; 0 if none failed.
    private static let outputError = Atomic<Int32>(0)

    /// Why the output is incomplete: a full disk, or a reader that has gone; nil if it is complete.
    static var outputFailure: CommandFailure? {
        let error = outputError.load(ordering: .relaxed)
        guard error != 0 else { return nil }
        // As with any command before `| head`, there is nothing to report.
        if error == EPIPE { return CommandFailure(.readerGone, "") }
        return CommandFailure(.failure, "standard output: \(unsafe String(cString: strerror(error)))")
    }

    /// Writes the whole string. What the descriptor refuses (a closed pipe, a full disk) is dropped; for standard output
    /// ``outputFailure`` reports it at the end.
    func write(_ text: String) {
        let error = writeAll(Array(text.utf8), to: rawValue)
        if error != 0, self == .output {
            _ = Self.outputError.compareExchange(expected: 0, desired: error, ordering: .relaxed)
        }
    }

    func write(line: String) { write(line + "\n") }
}
