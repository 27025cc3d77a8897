internal import Foundation

/// One member of `limits`: what the copies from or to certain volumes share.
package struct BudgetRule: Sendable, Hashable, Codable {
    /// Which of a swap's two volumes a rule looks at.
    package enum Side: String, Sendable, Hashable, Codable {
        case source
        case destination
        case either
    }

    /// What a volume's driver and place must match; a missing pattern matches all.
    package struct Match: Sendable, Hashable {
        package var side = Side.either
        /// driver_volume_type
        package var driver: Glob?
        /// Path, export, `pool/image` or `host:port`.
        package var place: Glob?

        fileprivate func matches(_ volume: BudgetVolume) -> Bool {
            (driver?.matches(volume.driver) ?? true) && (place.map { volume.places.contains(where: $0.matches) } ?? true)
        }
    }

    package var match = Match()
    /// MiB/s that all of its copies share; 0 for no limit.
    package var bandwidthMiBs: Int64 = 0
    /// Maximum number of its swaps at a time; 0 for no limit.
    package var concurrent = 0

    /// Whether a swap between these volumes is subject to the rule.
    package func applies(from source: BudgetVolume, to destination: BudgetVolume) -> Bool {
        switch match.side {
        case .source: match.matches(source)
        case .destination: match.matches(destination)
        case .either: match.matches(source) || match.matches(destination)
        }
    }

    /// The match, as `waits_for` shows it: `source driver=nfs where=filer1:*`.
    package var name: String {
        let patterns = [("driver", match.driver), ("where", match.place)].compactMap { name, glob in glob.map { "\(name)=\($0)" }
        }
        return ([match.side.rawValue] + patterns).joined(separator: " ")
    }
}

/// A volume as the `match` of a rule sees it.
package struct BudgetVolume: Sendable, Hashable {
    /// driver_volume_type
    package var driver: String
    /// Every way to write its place.
    package var places: [String]

    package init(driver: String, places: [String]) {
        self.driver = driver
        self.places = places
    }
}

// MARK: As JSON

extension BudgetRule {
    /// Reads `[{"match": {"side", "driver", "where"}, "bandwidth_mib_s", "concurrent"}]`.
    ///
    /// - Returns: nil for anything else, also for an unknown member or a rule without a limit.
    package static func rules(json text: String) -> [BudgetRule]? { try? decode(text) }

    /// What ``rules(json:)`` does not read, and why: `limits[0].match.side must be source, destination or either`.
    ///
    /// - Parameter name: What the rules are called.
    /// - Returns: nil if it reads all.
    package static func fault(json text: String, of name: String) -> String? {
        func place(_ context: DecodingError.Context) -> String {
            name + context.codingPath.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined()
        }
        do {
            _ = try decode(text)
            return nil
        } catch DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty {
            return "\(place(context)) \(context.debugDescription)"
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            return "\(place(context)) must be a \(context.codingPath.isEmpty ? "list" : "mapping")"
        } catch {
            return "\(name) is not JSON"
        }
    }

    private static func decode(_ text: String) throws -> [BudgetRule] {
        try JSONDecoder().decode([BudgetRule].self, from: Data(text.utf8))
    }

    /// The rules as ``rules(json:)`` reads them; empty without any.
    package static func json(_ rules: [BudgetRule]) -> String {
        guard !rules.isEmpty else { return "" }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(rules)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private enum Key: String, CodingKey, CaseIterable {
        case match
        case bandwidth = "bandwidth_mib_s"
        case concurrent
    }

    private enum MatchKey: String, CodingKey, CaseIterable {
        case side
        case driver
        case place = "where"
    }

    /// A key of any name, to find unknown ones.
    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// - Throws: `DecodingError` if it is not a rule.
    package init(from decoder: any Decoder) throws {
        try Self.check(decoder, Key.self)
        let values = try decoder.container(keyedBy: Key.self)
        if values.contains(.match) {
            try Self.check(try values.superDecoder(forKey: .match), MatchKey.self)
            let match = try values.nestedContainer(keyedBy: MatchKey.self, forKey: .match)
            self.match.side = try Self.read(match, .side, Side.self, "source, destination or either") ?? .either
            self.match.driver = try Self.read(match, .driver, String.self, "a string").map(Glob.init)
            self.match.place = try Self.read(match, .place, String.self, "a string").map(Glob.init)
        }
        let bandwidth = try Self.number(values, .bandwidth, atMost: 8_388_607)
        let concurrent = try Self.number(values, .concurrent, atMost: 100_000)
        guard bandwidth != nil || concurrent != nil else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "must have bandwidth_mib_s or concurrent"))
        }
        bandwidthMiBs = bandwidth ?? 0
        self.concurrent = Int(concurrent ?? 0)
    }

    /// - Throws: `EncodingError`, which no rule causes.
    package func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        var match = values.nestedContainer(keyedBy: MatchKey.self, forKey: .match)
        try match.encode(self.match.side, forKey: .side)
        try match.encodeIfPresent(self.match.driver?.description, forKey: .driver)
        try match.encodeIfPresent(self.match.place?.description, forKey: .place)
        try values.encode(bandwidthMiBs, forKey: .bandwidth)
        try values.encode(concurrent, forKey: .concurrent)
    }

    private static func number(
        _ values: KeyedDecodingContainer<Key>, _ key: Key, atMost limit: Int64
    ) throws -> Int64? {
        try read(values, key, Int64.self, "an integer from 0 to \(limit)") { (0...limit).contains($0) }
    }

    /// - Returns: nil if there is no such member.
    /// - Throws: `DecodingError` that says what it must be.
    private static func read<Name: CodingKey, Value: Decodable>(
        _ values: KeyedDecodingContainer<Name>, _ key: Name, _ type: Value.Type, _ wanted: String,
        _ isAllowed: (Value) -> Bool = { _ in true }
    ) throws -> Value? {
        let result = Result { try values.decodeIfPresent(type, forKey: key) }
        guard case .success(let value) = result, value.map(isAllowed) ?? true else {
            throw DecodingError.dataCorruptedError(forKey: key, in: values, debugDescription: "must be \(wanted)")
        }
        return value
    }

    private static func check<Known: CodingKey & CaseIterable>(_ decoder: any Decoder, _ known: Known.Type) throws {
        let names = Set(Known.allCases.map(\.stringValue))
        for key in try decoder.container(keyedBy: AnyKey.self).allKeys where !names.contains(key.stringValue) {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath + [key], debugDescription: "is not known"))
        }
    }
}
