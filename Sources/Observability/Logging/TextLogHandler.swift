package import Logging

/// Log lines for people: `2026-01-02T03:04:05.678Z info message task_id=… instance=…`.
package struct TextLogHandler: LineLogHandler {
    package let label: String
    package let output: LogOutput
    package let threshold: LogThreshold
    package var ownLevel: Logger.Level?
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    /// - Parameter threshold: The level of loggers without one of their own.
    package init(
        label: String, threshold: LogThreshold, output: LogOutput = .standardError,
        metadataProvider: Logger.MetadataProvider? = nil
    ) {
        self.label = label
        self.threshold = threshold
        self.output = output
        self.metadataProvider = metadataProvider
    }

    /// The event as text, without a line feed.
    package func line(
        _ event: LogEvent, timestamp: String, metadata: [(key: String, value: Logger.Metadata.Value)]
    ) -> String {
        var line = "\(timestamp) \(event.level.rawValue) \(LogText.escapingControls("\(event.message)"))"
        for (key, value) in metadata {
            line += " \(LogText.escapingControls(key))=\(LogText.value("\(value)"))"
        }
        return line
    }
}
