import Basics
import Foundation
import Logging

/// A handler that turns each event into one line of a ``LogOutput``.
struct LineLogHandler: LogHandler {
    /// The logger's name.
    let label: String
    let format: LoggingSetup.Format
    /// The level of a logger without one of its own.
    let threshold: LogThreshold
    var output = LogOutput.standardError
    /// Whether lines of text begin with their priority, for systemd's journal.
    var hasPriority = false
    /// The logger's own level, which overrides ``threshold``.
    var ownLevel: Logger.Level?
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    /// Formats an event as one line, without a line feed.
    ///
    /// - Parameter metadata: Everything known at the event, in the order to show it.
    func line(_ event: LogEvent, timestamp: String, metadata: [(key: String, value: Logger.Metadata.Value)]) -> String {
        switch format {
        case .text:
            (hasPriority ? JournalStream.prefix(event.level) : "") + text(event, timestamp: timestamp, metadata: metadata)
        case .json: json(event, timestamp: timestamp, metadata: metadata)
        }
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? threshold.level }
        set { ownLevel = newValue }
    }

    func log(event: LogEvent) {
        output.write(line(event, timestamp: Timestamp.text(Date(), .milliseconds), metadata: ordered(merged(event))))
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// The event's own values override the provider's, which override the logger's.
    private func merged(_ event: LogEvent) -> Logger.Metadata {
        var merged = metadata
        if let provided = metadataProvider?.get() { merged.merge(provided) { _, new in new } }
        if let own = event.metadata { merged.merge(own) { _, new in new } }
        if let error = event.error, merged[LogKey.error] == nil { merged[LogKey.error] = "\(error)" }
        return merged
    }

    private func ordered(_ metadata: Logger.Metadata) -> [(key: String, value: Logger.Metadata.Value)] {
        let first = LogKey.first.compactMap { key in metadata[key].map { (key: key, value: $0) } }
        let others = metadata.filter { !LogKey.first.contains($0.key) }.sorted { $0.key < $1.key }
        return first + others.map { (key: $0.key, value: $0.value) }
    }
}
