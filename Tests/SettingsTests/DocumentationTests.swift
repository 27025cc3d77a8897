import Foundation
import JSON
import Testing

@testable import Settings

/// README's table, the schema and the example show the keys, no other, with the types, defaults and descriptions of the list.
@Suite struct DocumentationTests {
    private func file(_ path: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../..")
        return try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    @Test func theReadmeHasARowForEachKey() throws {
        let readme = try file("README.md")
        let section = readme.split(separator: "\n## ").first { $0.hasPrefix("Configuration\n") } ?? ""
        let rows = section.split(separator: "\n").filter { $0.hasPrefix("| `") }
        let wanted = PivotdConfiguration.keys.map { key in
            let type = key.kind.allowed.replacing("|", with: " or ")
            let value = key.defaultText.isEmpty ? "none" : "`\(key.defaultText)`"
            return "| `\(key.name)` | \(type) | \(value) | \(key.help) |"
        }
        for (row, wanted) in zip(rows, wanted) { #expect(row == wanted) }
        #expect(rows.count == wanted.count)
    }

    @Test func theSchemaHasAPropertyForEachKey() throws {
        let schema = try JSONValue(parsing: file("schemas/configuration.json"))
        let properties = try #require(schema["properties"])
        #expect(properties.objectValue?.map(\.key) == PivotdConfiguration.keys.map(\.name))
        for key in PivotdConfiguration.keys {
            let property = properties[key.name]
            #expect(property?["description"]?.stringValue == "\(key.help).", "\(key.name)")
            switch (property?["default"], key.name) {
            case (nil, "host"): break
            case (nil, _): #expect(key.defaultText.isEmpty, "\(key.name)")
            case (.array(let members)?, _):
                #expect(members.compactMap(\.stringValue).joined(separator: ",") == key.defaultText, "\(key.name)")
            case (let value?, _): #expect(value.stringValue ?? value.serialized() == key.defaultText, "\(key.name)")
            }
            let (lowest, highest) = (property?["minimum"]?.doubleValue, property?["maximum"]?.doubleValue)
            let (type, choices) = (property?["type"]?.stringValue, property?["enum"]?.arrayValue?.compactMap(\.stringValue))
            switch key.kind {
            case .integer(let range):
                #expect(type == "integer" && lowest == Double(range.lowerBound), "\(key.name)")
                #expect(highest == (range.upperBound == .max ? nil : Double(range.upperBound)), "\(key.name)")
            case .powerOfTwo(let limit):
                let allowed: [Int64] = [0] + (0...limit.trailingZeroBitCount).map { 1 << $0 }
                #expect(property?["enum"] == JSONValue.array(allowed.map(JSONValue.integer)), "\(key.name)")
            case .number(let range):
                #expect(type == "number" && lowest == range.lowerBound && highest == range.upperBound, "\(key.name)")
            case .boolean: #expect(type == "boolean", "\(key.name)")
            case .choice(let wanted): #expect(choices == wanted, "\(key.name)")
            case .absolutePaths: #expect(property?["oneOf"] != nil, "\(key.name)")
            case .rules: #expect(type == "array", "\(key.name)")
            case .latencyBudget: #expect(property?["type"] == ["string", "number"], "\(key.name)")
            case .text, .secret, .path, .listenAddress, .schedule: #expect(type == "string", "\(key.name)")
            }
        }
    }

    /// Each line that is commented out shows the default, where there is one that is the same on every machine.
    @Test func theExampleHasALineForEachKey() throws {
        let example = try file("deploy/pivotd.yaml")
        let lines = example.split(separator: "\n").filter { $0.firstMatch(of: /^#([a-z_]+:|  - )/) != nil }
        let file = try ConfigurationFile(yaml: lines.map { String($0.dropFirst()) }.joined(separator: "\n"))
        let values = Dictionary(file.entries.map { ($0.name, $0.entry.value) }) { first, _ in first }
        #expect(values.keys.sorted() == PivotdConfiguration.keys.map(\.name).sorted())
        for key in PivotdConfiguration.keys where !key.defaultText.isEmpty && key.name != "host" {
            switch values[key.name] {
            case .list(let members): #expect(members.joined(separator: ",") == key.defaultText)
            case let value: #expect(value == .text(key.defaultText), "\(key.name)")
            }
        }
    }

    /// Ansible's role reloads the worker for these, and restarts it for all others.
    @Test func theRoleKnowsWhichKeysReload() throws {
        let variables = try file("deploy/ansible/roles/pivotd/vars/main.yml")
        let list = try ConfigurationFile(yaml: variables).entries.first { $0.name == "pivotd_reloadable" }
        #expect(list?.entry.value == .list(PivotdConfiguration.keys.filter(\.reloads).map(\.name)))
    }
}
