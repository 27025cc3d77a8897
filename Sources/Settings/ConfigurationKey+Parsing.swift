import Configuration
import Observability

/// A value as a layer holds it, before its type is known.
enum RawValue: Sendable, Equatable {
    case text(String)
    case list([String])
    /// Something that no key takes: a mapping, or a list with anything but scalars in it.
    case nested
}

extension ConfigurationKey {
    /// Reads the value of a layer.
    ///
    /// - Returns: nil when it is not what the key allows.
    func parse(_ value: RawValue) -> ConfigContent? {
        switch (kind, value) {
        case (_, .nested): nil
        case (.absolutePaths, .list(let members)): allowed(.stringArray(members))
        case (_, .list): nil
        case (_, .text(let text)): parse(text)
        }
    }

    private func parse(_ text: String) -> ConfigContent? {
        let content: ConfigContent?
        switch kind {
        case .text, .secret, .path, .choice, .listenAddress: content = .string(text)
        case .boolean: content = Self.boolean(text).map(ConfigContent.bool)
        case .integer: content = Int(text.trimmingSpaces).map(ConfigContent.int)
        case .number: content = Double(text.trimmingSpaces).map(ConfigContent.double)
        case .absolutePaths: content = .stringArray(Self.members(text))
        }
        return content.flatMap(allowed)
    }

    private func allowed(_ content: ConfigContent) -> ConfigContent? {
        allows(content) ? content : nil
    }

    /// Whether a value of the right type is within the key's limits.
    func allows(_ content: ConfigContent) -> Bool {
        switch (kind, content) {
        case (.integer(let range), .int(let value)): range.contains(value)
        case (.number(let range), .double(let value)): value.isFinite && range.contains(value)
        case (.choice(let choices), .string(let value)): choices.contains(value)
        case (.listenAddress, .string(let value)): value.isEmpty || ListenAddress(value) != nil
        case (.secret, .string(let value)), (.text, .string(let value)): !value.isEmpty
        case (.path, .string(let value)): !value.isEmpty || defaultText.isEmpty
        case (.absolutePaths, .stringArray(let members)): members.allSatisfy { $0.hasPrefix("/") }
        case (.boolean, .bool): true
        default: false
        }
    }

    private static func boolean(_ text: String) -> Bool? {
        switch text.trimmingSpaces.lowercased() {
        case "true", "yes", "on", "1": true
        case "false", "no", "off", "0": false
        default: nil
        }
    }

    private static func members(_ text: String) -> [String] {
        text.split(separator: ",").map { String($0).trimmingSpaces }.filter { !$0.isEmpty }
    }
}

extension String {
    fileprivate var trimmingSpaces: String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        return String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }
}
