import Foundation
import JSON

/// The allocations that each operation may take in a debug build, in a file that is part of the repository.
struct Thresholds {
    /// By how much of a threshold a count may exceed it: what another patch release of Swift or SQLite changes.
    private static let margin = 0.1

    private let path: String
    private var file: JSONValue

    init(path: String) throws {
        self.path = path
        file = try JSONValue(parsing: Array(Data(contentsOf: URL(fileURLWithPath: path))))
    }

    /// The threshold of an operation; nil if there is none.
    func limit(_ name: String) -> Double? { file[name]?.doubleValue }

    /// What is wrong with a count, and how to make it right; nil if it keeps its threshold.
    func fault(_ name: String, _ count: Double) -> String? {
        guard let limit = limit(name) else { return "\(name): has no threshold; --write adds it" }
        guard count > limit * (1 + Self.margin) + 0.5 else { return nil }
        return "\(name): takes \(Self.rounded(count)) allocations, \(Self.rounded(limit)) are allowed"
    }

    /// Makes the counts the thresholds.
    mutating func write(_ counts: [(name: String, count: Double)]) throws {
        file = .object(JSONObject(counts.map { ($0.name, .real(Self.rounded($0.count))) }))
        try Data((file.serialized(indent: 2) + "\n").utf8).write(to: URL(fileURLWithPath: path))
    }

    static func rounded(_ count: Double) -> Double { (count * 10).rounded() / 10 }
}
