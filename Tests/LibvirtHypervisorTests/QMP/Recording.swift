import Foundation
import JSON

@testable import LibvirtHypervisor

/// What libvirt 9.0 and QEMU 7.2 showed, and what QEMU was sent then: one sight of `Tests/Fixtures/qmp.json`.
struct Recording {
    private let json: JSONValue

    var disk: LiveDisk { LiveDisk("vdb", in: json["disk"]?.stringValue ?? "") }
    var devices: JSONValue { json["devices"] ?? [] }
    var jobs: JSONValue { json["jobs"] ?? [] }
    var instances: JSONValue { json["instances"] ?? [] }
    /// nil where they were not asked for.
    var nodes: BlockNodes? { json["nodes"].map(BlockNodes.init) }

    var sent: [QMPCommand] {
        (json["sent"]?.arrayValue ?? [json["sent"] ?? .null]).map { command in
            QMPCommand(command["execute"]?.stringValue ?? "", command["arguments"])
        }
    }

    /// The sights of a scene, in their order.
    static func of(_ scene: String) throws -> [Recording] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Fixtures/qmp.json")
        let sights = try JSONValue(parsing: Array(Data(contentsOf: file))).arrayValue ?? []
        return sights.filter { $0["scene"]?.stringValue == scene }.map { Recording(json: $0) }
    }
}
