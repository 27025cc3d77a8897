import ArgumentParser
import Settings

/// One flag for each key of a section, without declaring any of them again.
///
/// ArgumentParser discovers a type's flags through its mirror and then decodes one option per flag, so this mirrors and decodes
/// an option for each key of the section.
struct KeyOptions<Section: KeySection>: ParsableArguments, CustomReflectable {
    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    private let options: [(name: String, option: Option<String?>)]

    init() {
        options = PivotdConfiguration.keys.filter { $0.section == Section.section }.map { ($0.name, Option(key: $0)) }
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Name.self)
        options = try Self().options.map { name, _ in
            (name, try container.decode(Option<String?>.self, forKey: Name(stringValue: name)))
        }
    }

    var customMirror: Mirror { Mirror(self, children: options.map { (label: $0.name, value: $0.option) }) }

    /// The flags given, by the names of their keys.
    var given: [String: String] {
        options.reduce(into: [:]) { given, flag in given[flag.name] = flag.option.wrappedValue }
    }
}

/// Names a section for ``KeyOptions``.
protocol KeySection {
    static var section: ConfigurationKey.Section { get }
}

enum BusSection: KeySection { static let section = ConfigurationKey.Section.bus }
enum HypervisorSection: KeySection { static let section = ConfigurationKey.Section.hypervisor }
enum SwapSection: KeySection { static let section = ConfigurationKey.Section.swap }
enum DaemonSection: KeySection { static let section = ConfigurationKey.Section.daemon }

extension Option where Value == String? {
    fileprivate init(key: ConfigurationKey) {
        self.init(
            name: .customLong(key.flag), parsing: .next,
            help: ArgumentHelp(
                "\(key.help) (default: \(key.defaultText.isEmpty ? "none" : key.defaultText)).", valueName: key.kind.placeholder),
            completion: Self.completion(key))
    }

    private static func completion(_ key: ConfigurationKey) -> CompletionKind {
        switch key.kind {
        case .path: .file()
        case .boolean: .list(["true", "false"])
        case .choice(let choices): .list(choices)
        default: .default
        }
    }
}
