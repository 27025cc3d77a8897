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
    package static func rules(json text: String) -> [BudgetRule]? {
        try? JSONDecoder().decode([BudgetRule].self, from: Data(text.utf8))
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
            self.match.side = try match.decodeIfPresent(Side.self, forKey: .side) ?? .either
            self.match.driver = try match.decodeIfPresent(String.self, forKey: .driver).map(Glob.init)
            self.match.place = try match.decodeIfPresent(String.self, forKey: .place).map(Glob.init)
        }
        let bandwidth = try Self.number(values, .bandwidth, atMost: 8_388_607)
        let concurrent = try Self.number(values, .concurrent, atMost: 100_000)
        guard bandwidth != nil || concurrent != nil else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "limits nothing"))
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
        guard let number = try values.decodeIfPresent(Int64.self, forKey: key) else { return nil }
        guard (0...limit).contains(number) else {
            throw DecodingError.dataCorruptedError(forKey: key, in: values, debugDescription: "out of range")
        }
        return number
    }

    private static func check<Known: CodingKey & CaseIterable>(_ decoder: any Decoder, _ known: Known.Type) throws {
        let names = Set(Known.allCases.map(\.stringValue))
        for key in try decoder.container(keyedBy: AnyKey.self).allKeys where !names.contains(key.stringValue) {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "unknown member"))
        }
    }
}
