package import Logging

/// Puts pivotd's log handlers under swift-log.
package enum LoggingSetup {
    /// How log lines look.
    package enum Format: String, Sendable, CaseIterable {
        case text
        case json
    }

    /// Makes every logger of the process write such lines to standard error. To be called once, before the first logger.
    package static func bootstrap(format: Format, level: Logger.Level) {
        LoggingSystem.bootstrap(
            { label, provider in
                switch format {
                case .text: TextLogHandler(label: label, level: level, metadataProvider: provider)
                case .json: JSONLogHandler(label: label, level: level, metadataProvider: provider)
                }
            }, metadataProvider: nil)
    }
}
