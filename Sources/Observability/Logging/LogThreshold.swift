package import Logging
import Synchronization

/// A log level that many loggers share.
package final class LogThreshold: Sendable {
    private let value: Mutex<Logger.Level>

    package init(_ level: Logger.Level) {
        value = Mutex(level)
    }

    package var level: Logger.Level { value.withLock { $0 } }

    package func set(_ level: Logger.Level) { value.withLock { $0 = level } }
}
