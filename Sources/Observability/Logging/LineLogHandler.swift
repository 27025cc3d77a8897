import Basics
import Foundation
package import Logging

/// A handler that turns each event into one line of a ``LogOutput``.
package protocol LineLogHandler: LogHandler {
    /// Where the lines go.
    var output: LogOutput { get }
    /// The logger's name.
    var label: String { get }
    /// The level of a logger without one of its own.
    var threshold: LogThreshold { get }
    /// The logger's own level, which overrides ``threshold``.
    var ownLevel: Logger.Level? { get set }

    /// Formats an event as one line, without a line feed.
    ///
    /// - Parameter metadata: Everything known at the event, in the order to show it.
    func line(_ event: LogEvent, timestamp: String, metadata: [(key: String, value: Logger.Metadata.Value)]) -> String
}

extension LineLogHandler {
    package var logLevel: Logger.Level {
        get { ownLevel ?? threshold.level }
        set { ownLevel = newValue }
    }

    package func log(event: LogEvent) {
        output.write(line(event, timestamp: Timestamp.text(Date(), .milliseconds), metadata: ordered(merged(event))))
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
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
