import JSON
import VolumeSwap

/// What is wrong with a plan; never quotes more of a line than a worker's own failures do.
package struct MovePlanError: Error, Sendable, Hashable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// A plan: many swaps on many hosts, one JSON object a line.
package struct MovePlan: Sendable {
    /// The swaps, in the plan's order; at least one.
    package let lines: [MoveLine]

    /// Reads JSON Lines. Blank lines and those that begin with `#` are skipped.
    ///
    /// - Throws: ``MovePlanError`` with a line of text for each problem, naming the lines of the plan.
    package init(_ text: some Collection<UInt8>) throws(MovePlanError) {
        var (lines, problems): ([MoveLine], [String]) = ([], [])
        for (index, bytes) in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let content = bytes.drop { Self.isBlank($0) }
            guard let first = content.first, first != UInt8(ascii: "#") else { continue }
            do throws(MovePlanError) {
                lines.append(try MoveLine(try Self.object(content), number: index + 1))
            } catch {
                problems.append("line \(index + 1): \(error)")
            }
        }
        problems += Self.conflicts(lines)
        if lines.isEmpty, problems.isEmpty { problems = ["the plan has no lines"] }
        guard problems.isEmpty else { throw MovePlanError(problems.joined(separator: "\n")) }
        self.lines = lines
    }

    private static func object(_ bytes: some Collection<UInt8>) throws(MovePlanError) -> JSONObject {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue(parsing: bytes) } catch {
            throw MovePlanError("is not JSON: \(error.message) (column \(error.column))")
        }
        guard let object = value.objectValue else { throw MovePlanError("must be a JSON object, not \(value.typeName)") }
        return object
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

    // MARK: Lines that exclude each other

    /// No worker sees the disks of other hosts, so that two copies onto one volume must not get past the plan.
    private static func conflicts(_ lines: [MoveLine]) -> [String] {
        let twice = same(lines, "are equal, or have the same request_token") { [$0.taskID(attempt: 1)] }
        let disks = same(lines, "move the same disk") { ["\($0.host) \($0.instanceKey) \($0.disk)"] }
        let volumes = same(lines, "move to the same volume") { $0.newVolume.names }
        return (twice.isEmpty ? disks + volumes : twice) + chains(lines)
    }

    /// Names each line that has a key in common with an earlier one.
    private static func same<Key: Hashable>(_ lines: [MoveLine], _ what: String, _ keys: (MoveLine) -> Set<Key>) -> [String] {
        var seen: [Key: MoveLine] = [:]
        return lines.compactMap { line in
            let keys = keys(line)
            let first = first(keys, in: seen)
            for key in keys where seen[key] == nil { seen[key] = line }
            return first.map { "lines \($0.number) and \(line.number) \(what)" }
        }
    }

    private static func chains(_ lines: [MoveLine]) -> [String] {
        var leaving: [VolumeIdentity.Name: MoveLine] = [:]
        for line in lines {
            for name in line.oldVolume.names { leaving[name] = line }
        }
        return lines.compactMap { line in
            if line.newVolume.meets(line.oldVolume) { return "line \(line.number): the old and the new volume are the same" }
            return first(line.newVolume.names, in: leaving).map {
                "line \(line.number) moves to the volume that line \($0.number) moves away from"
            }
        }
    }

    /// The first line of the plan among those that the keys lead to.
    private static func first<Key: Hashable>(_ keys: Set<Key>, in lines: [Key: MoveLine]) -> MoveLine? {
        keys.compactMap { lines[$0] }.min { $0.number < $1.number }
    }
}
