package import Logging
import Synchronization

/// A log level that many loggers share.
package final class LogThreshold: Sendable {
    private let value: Mutex<Logger.Level>

    package init(_ level: Logger.Level) {
        value = Mutex(level)
    }

    /// The least level that is logged.
    package var level: Logger.Level { value.withLock { $0 } }

    /// Changes the level, at once for all loggers that share it.
    package func set(_ level: Logger.Level) { value.withLock { $0 = level } }
}
