import Foundation
import JSON

@testable import Capture

/// What the mutated inputs are made from: recorded traffic and the schemas' examples.
struct Corpus: Sendable {
    /// The contents of requests: of the recordings, and an example of every method.
    let requests: [JSONObject]
    /// The bodies of all messages in the recordings: calls, casts, replies, notifications, garbage.
    let bodies: [[UInt8]]
    /// The lines of the recordings, as in the file.
    let lines: [String]
    /// Parts that one message may get from another: connection_infos, arguments, options.
    let parts: [JSONValue]

    /// A password that occurs in the corpus, and so must not occur in an error's text.
    static let secret = "hunter2-Sv3rige-hunter2"

    init() async throws {
        var lines: [CaptureLine] = []
        for name in ["swaps.jsonl", "all-traffic.jsonl.gz"] {
            let reader = try CaptureReader(path: Self.root.appending(path: "Tests/Fixtures/\(name)").path)
            while let entry = try await reader.next() {
                if case .message(let line, _) = entry { lines.append(line) }
            }
        }
        let recorded = lines.compactMap { line -> JSONObject? in
            guard let inner = try? CapturedMessage.inner(line.body) else { return nil }
            return inner["method"] == nil ? nil : Self.unmasked(.object(inner)).objectValue
        }
        let examples = try Self.examples(ofSchemas: "request-")
        let connections = try Self.examples(ofSchemas: "connection_info") + Self.connections
        requests = recorded + examples.map(Self.unmasked).compactMap(\.objectValue)
        bodies = lines.map(\.body.bytes)
        self.lines = lines.map { $0.json.serialized() } + Self.foreignLines
        parts =
            connections.map(Self.unmasked) + requests.compactMap { $0["args"] } + requests.compactMap { $0["args"]?["options"] }
    }

    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../../..")

    private static func examples(ofSchemas prefix: String) throws -> [JSONValue] {
        let directory = root.appending(path: "schemas").path
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted().filter { $0.hasPrefix(prefix) }
        return try names.flatMap { name in
            let schema = try JSONValue(parsing: Array(Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)"))))
            return schema["examples"]?.arrayValue ?? []
        }
    }

    /// The recordings and examples are masked; a password makes them whole.
    private static func unmasked(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string("***"): .string(secret)
        case .array(let elements): .array(elements.map(unmasked))
        case .object(let members): .object(members.mapValues(unmasked))
        default: value
        }
    }

    /// Kinds of volumes that the schemas' examples lack.
    private static let connections: [JSONValue] = [
        ["driver_volume_type": "nbd", "data": ["host": "192.0.2.40", "port": 10809, "name": "volume-1", "encrypted": true]],
        ["driver_volume_type": "scality", "data": ["sofs_path": "cinder/volumes/volume-1"]],
        ["driver_volume_type": "nvmeof", "data": ["nqn": "nqn.2014-08.org:1", "portals": [["192.0.2.41", 4420, "tcp"]]]],
        [
            "driver_volume_type": "iscsi", "multiattach": true,
            "data": [
                "target_portals": ["192.0.2.10:3260,1", "[2001:db8::1]:3260"], "target_luns": [1, "2"],
                "target_iqns": ["iqn.2010-10.org:a", "iqn.2010-10.org:b"], "auth_password": .string(secret),
            ],
        ],
        ["driver_volume_type": "lvm", "data": ["device_path": "/dev/vg/volume-1", "format": "qcow2"]],
    ]

    /// A message as RabbitMQ's tracing plugin and rabtap write it.
    private static let foreignLines = [
        """
        {"timestamp":"2026-11-23 0:58:42:250","type":"published","node":"rabbit@h","exchange":"openstack",\
        "routing_keys":["pivotd.h"],"properties":{"delivery_mode":2,"headers":{}},"payload":"eyJtZXRob2QiOiJ4In0="}
        """,
        """
        {
          "Headers": {"h": "v"}, "ContentType": "application/json", "DeliveryMode": 2, "Timestamp": "0001-01-01T00:00:00Z",
          "Exchange": "openstack", "RoutingKey": "pivotd.h", "XRabtapReceivedTimestamp": "2026-11-23T01:58:42.25+01:00",
          "Body": "eyJtZXRob2QiOiJ4In0="
        }
        """,
    ]
}
