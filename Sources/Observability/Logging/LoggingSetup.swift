import Basics
import Foundation
package import Logging

/// Installs pivotd's log handlers in swift-log.
package enum LoggingSetup {
    /// The format of log lines.
    package enum Format: String, Sendable, CaseIterable {
        case text
        case json
    }

    /// The minimum level of loggers without one of their own; can be changed at run time.
    package static let threshold = LogThreshold(.info)

    /// Makes every logger of the process write such lines to standard error. Call it once, before creating any logger.
    package static func bootstrap(format: Format, level: Logger.Level) {
        threshold.set(level)
        let hasPriority = JournalStream.isConnected(2, environment: ProcessInfo.processInfo.environment)
        LogOutput.standardError.describeLosses { count in
            var handler = LineLogHandler(label: "pivotd", format: format, threshold: threshold)
            handler.hasPriority = hasPriority
            let event = LogEvent(
                level: .warning, message: "log lines are missing: the log's reader was too slow", metadata: nil, source: nil,
                file: #fileID, function: #function, line: #line)
            return handler.line(
                event, timestamp: Timestamp.text(Date(), .milliseconds), metadata: [(key: LogKey.dropped, value: "\(count)")])
        }
        LoggingSystem.bootstrap(
            {
                LineLogHandler(
                    label: $0, format: format, threshold: threshold, hasPriority: hasPriority, metadataProvider: $1)
            }, metadataProvider: nil)
    }
}
