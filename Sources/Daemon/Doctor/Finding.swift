package import JSON

/// The result of one check of ``Doctor``.
package struct Finding: Sendable, Hashable {
    /// How much it matters.
    package enum Status: String, Sendable, Hashable {
        case ok
        /// The worker runs, but something will not work or is unsafe.
        case warning = "warn"
        /// The worker cannot run, or cannot do its work.
        case failure = "FAIL"
    }

    /// What was checked: a key, a queue, a file.
    package let name: String
    package let status: Status
    /// What was found.
    package let detail: String
    /// What an operator can do about it; empty if nothing is wrong.
    package let remedy: String

    package static func ok(_ name: String, _ detail: String) -> Finding {
        Finding(name: name, status: .ok, detail: detail, remedy: "")
    }

    package static func warning(_ name: String, _ detail: String, remedy: String) -> Finding {
        Finding(name: name, status: .warning, detail: detail, remedy: remedy)
    }

    package static func failure(_ name: String, _ detail: String, remedy: String) -> Finding {
        Finding(name: name, status: .failure, detail: detail, remedy: remedy)
    }

    /// The same finding about something that the worker can do without.
    var asWarning: Finding {
        status == .failure ? .warning(name, detail, remedy: remedy) : self
    }

    /// `FAIL name: detail — remedy`
    package var line: String {
        let status = status.rawValue + String(repeating: " ", count: 4 - status.rawValue.count)
        return "\(status) \(name): \(detail)\(remedy.isEmpty ? "" : " — \(remedy)")"
    }

    /// `{"name": …, "status": …, "detail": …, "remedy": …}`
    package var json: JSONValue {
        [
            "name": .string(name), "status": .string(status.rawValue.lowercased()), "detail": .string(detail),
            "remedy": remedy.isEmpty ? .null : .string(remedy),
        ]
    }
}
