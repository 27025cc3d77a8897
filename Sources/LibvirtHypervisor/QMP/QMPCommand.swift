import JSON
import VolumeSwap

/// A command for QEMU's monitor.
struct QMPCommand: Sendable, Equatable {
    let name: String
    let arguments: JSONValue?

    init(_ name: String, _ arguments: JSONValue? = nil) {
        self.name = name
        self.arguments = arguments
    }

    /// The JSON that `virDomainQemuMonitorCommand` takes.
    var text: String {
        let command: JSONValue =
            arguments.map { ["execute": .string(name), "arguments": $0] } ?? ["execute": .string(name)]
        return command.serialized()
    }

    /// Reads QEMU's answer.
    ///
    /// - Returns: The answer's `return` value.
    /// - Throws: `other` with QEMU's own reason if it refused the command, or if the answer is not JSON.
    func result(of answer: String) throws(HypervisorError) -> JSONValue {
        guard let json = try? JSONValue(parsing: answer) else {
            throw HypervisorError(.other, "QEMU's answer to \(name) is not JSON")
        }
        if let error = json["error"] {
            throw HypervisorError(.other, "QEMU refused \(name): \(error["desc"]?.stringValue ?? "no reason given")")
        }
        return json["return"] ?? .null
    }

    /// Whether QEMU knows a command.
    ///
    /// - Parameter commands: The answer to `query-commands`.
    static func isKnown(_ name: String, in commands: JSONValue) -> Bool {
        commands.arrayValue?.contains { $0["name"]?.stringValue == name } ?? false
    }

    static let queryBlock = QMPCommand("query-block")
    static let queryBlockGraph = QMPCommand("x-debug-query-block-graph")
    static let queryBlockJobs = QMPCommand("query-block-jobs")
    static let queryCommands = QMPCommand("query-commands")
    static let queryJobs = QMPCommand("query-jobs")
    static let queryNodes = QMPCommand("query-named-block-nodes", ["flat": true])
    static let querySchema = QMPCommand("query-qmp-schema")
    static let queryVersion = QMPCommand("query-version")
    static let queryYank = QMPCommand("query-yank")
}
