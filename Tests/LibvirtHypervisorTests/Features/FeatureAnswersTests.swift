import Foundation
import JSON
import Libvirt
import Testing
import VolumeSwap

@testable import LibvirtHypervisor

@Suite struct FeatureAnswersTests {
    /// What one QEMU answered: its commands, and of its schema what concerns `blockdev-mirror`.
    private static func answers(of version: String) throws -> (commands: JSONValue, schema: JSONValue) {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(
            path: "../../Fixtures/qemu-features.json")
        let recorded = try JSONValue(parsing: Array(Data(contentsOf: file))).arrayValue ?? []
        let one = try #require(recorded.first { $0["version"]?.stringValue == version })
        return (one["commands"] ?? .null, one["schema"] ?? .null)
    }

    private static func version(_ major: Int64, _ minor: Int64, _ micro: Int64) -> JSONValue {
        ["qemu": ["major": .integer(major), "minor": .integer(minor), "micro": .integer(micro)]]
    }

    @Test func qemu72() throws {
        let (commands, schema) = try Self.answers(of: "7.2")
        #expect(
            FeatureAnswers.qemu(commands: commands, schema: schema, version: Self.version(7, 2, 22))
                == [.blockdevReopen: true, .blockJobChange: false, .writeBlocking: true, .targetIsZero: false])
        #expect(QMPSchema(schema).has("auto-dismiss", in: "blockdev-mirror"))
    }

    @Test func qemu100() throws {
        let (commands, schema) = try Self.answers(of: "10.0")
        #expect(
            FeatureAnswers.qemu(commands: commands, schema: schema, version: Self.version(10, 0, 13))
                == [.blockdevReopen: true, .blockJobChange: true, .writeBlocking: true, .targetIsZero: false])
    }

    /// As QEMU 10.1 describes it: one argument more. It aborts in write-blocking copies.
    @Test func oneArgumentMore() throws {
        let (commands, schema) = try Self.answers(of: "10.0")
        let entries = try #require(schema.arrayValue).map { entry -> JSONValue in
            guard var object = entry.objectValue, let members = entry["members"]?.arrayValue,
                members.contains(where: { $0["name"] == "auto-dismiss" })
            else { return entry }
            object["members"] = .array(members + [["name": "target-is-zero", "default": nil, "type": "bool"]])
            return .object(object)
        }
        let supported = FeatureAnswers.qemu(commands: commands, schema: .array(entries), version: Self.version(10, 1, 0))
        #expect(supported == [.blockdevReopen: true, .blockJobChange: true, .writeBlocking: false, .targetIsZero: true])
    }

    @Test func answersOfAnotherShape() {
        for answer: JSONValue in [nil, [], ["error": "x"], [["name": "blockdev-mirror", "arg-type": "7"]]] {
            #expect(
                FeatureAnswers.qemu(commands: answer, schema: answer, version: answer)
                    == [.blockdevReopen: false, .blockJobChange: false, .writeBlocking: false, .targetIsZero: false])
        }
    }

    @Test func aFlagThatLibvirtSaysNothingOfIsLeftOut() {
        #expect(
            FeatureAnswers.libvirt([.copyTransientJob: true, .undefineKeepTPM: false]) == [.transientJob: true, .keepTPM: false])
        #expect(FeatureAnswers.libvirt([.copySynchronousWrites: true]) == [.synchronousWrites: true])
    }
}
