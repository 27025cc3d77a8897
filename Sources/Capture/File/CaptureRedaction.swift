import JSON
import OrderedCollections
import OsloMessaging

extension CaptureLine {
    /// The line with every password, key and token replaced by `***`, in headers and body; it can still be replayed.
    package func redacted() -> CaptureLine {
        var line = self
        line.properties.headers = JSONValue.object(properties.headers).redacted().objectValue ?? [:]
        switch body {
        case .json(let value): line.body = .json(value.redacted())
        case .bytes(let bytes): line.body = .bytes(SecretMask.masked(bytes))
        }
        return line
    }
}
