import Foundation
import Logging

/// The stream that systemd reads a service's log from.
enum JournalStream {
    /// Whether a descriptor is the one that systemd names as `DEVICE:INODE` in `JOURNAL_STREAM`. A redirected one is not.
    static func isConnected(_ descriptor: Int32, environment: [String: String]) -> Bool {
        var status = stat()
        guard let named = environment["JOURNAL_STREAM"], unsafe fstat(descriptor, &status) == 0 else { return false }
        return named == "\(status.st_dev):\(status.st_ino)"
    }

    /// The priority that a line begins with, as in sd-daemon(3).
    static func prefix(_ level: Logger.Level) -> String {
        switch level {
        case .critical: "<2>"
        case .error: "<3>"
        case .warning: "<4>"
        case .notice: "<5>"
        case .info: "<6>"
        case .debug, .trace: "<7>"
        }
    }
}
