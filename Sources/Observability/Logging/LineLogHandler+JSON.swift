import Logging

extension LineLogHandler {
    private static let own: Set = ["timestamp", "level", "logger", "message"]

    /// A line for machines: one JSON object, with `timestamp`, `level`, `logger`, `message` and the metadata.
    func json(_ event: LogEvent, timestamp: String, metadata: [(key: String, value: Logger.Metadata.Value)]) -> String {
        var line = "{\"timestamp\":\"\(timestamp)\",\"level\":\"\(event.level.rawValue)\""
        line += ",\"logger\":\(LogText.json(label)),\"message\":\(LogText.json("\(event.message)"))"
        for (key, value) in metadata {
            // No key may appear twice: readers differ in which of the two they use.
            let key = Self.own.contains(key) ? "metadata_\(key)" : key
            line += ",\(LogText.json(key)):\(Self.json(value))"
        }
        return line + "}"
    }

    private static func json(_ value: Logger.Metadata.Value) -> String {
        switch value {
        case .string(let text):
            return LogText.json(text)
        case .stringConvertible(let number as any BinaryInteger):
            return "\(number)"
        case .stringConvertible(let flag as Bool):
            return "\(flag)"
        case .stringConvertible(let number as Double) where number.isFinite:
            return "\(number)"
        case .stringConvertible(let other):
            return LogText.json("\(other)")
        case .array(let values):
            return "[" + values.map(json).joined(separator: ",") + "]"
        case .dictionary(let values):
            let members = values.sorted { $0.key < $1.key }.map { "\(LogText.json($0.key)):\(json($0.value))" }
            return "{" + members.joined(separator: ",") + "}"
        }
    }
}
