import JSON

/// QEMU's description of its monitor, the answer to `query-qmp-schema`.
struct QMPSchema {
    private let entries: [JSONValue]

    init(_ answer: JSONValue) { entries = answer.arrayValue ?? [] }

    /// Whether a command takes an argument.
    func has(_ argument: String, in command: String) -> Bool {
        guard let type = entry(command)?["arg-type"]?.stringValue, let members = entry(type)?["members"]?.arrayValue else {
            return false
        }
        return members.contains { $0["name"]?.stringValue == argument }
    }

    private func entry(_ name: String) -> JSONValue? { entries.first { $0["name"]?.stringValue == name } }
}
