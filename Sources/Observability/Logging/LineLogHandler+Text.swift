import Logging

extension LineLogHandler {
    /// A line for people: `2026-01-02T03:04:05.678Z info message task_id=… instance=…`.
    func text(_ event: LogEvent, timestamp: String, metadata: [(key: String, value: Logger.Metadata.Value)]) -> String {
        var line = "\(timestamp) \(event.level.rawValue) \(LogText.escapingControls("\(event.message)"))"
        for (key, value) in metadata {
            line += " \(LogText.escapingControls(key))=\(LogText.value("\(value)"))"
        }
        return line
    }
}
