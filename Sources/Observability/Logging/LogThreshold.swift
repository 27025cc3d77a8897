package import Logging
import Synchronization

/// A log level shared by many loggers.
package final class LogThreshold: Sendable {
    private let value: Mutex<Logger.Level>

    package init(_ level: Logger.Level) {
        value = Mutex(level)
    }

    /// The minimum level that is logged.
    package var level: Logger.Level { value.withLock { $0 } }

    /// Changes the level for all loggers that share it, at once.
    package func set(_ level: Logger.Level) { value.withLock { $0 = level } }
}
