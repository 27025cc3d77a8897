import AMQP
import Foundation
import JSON
import OsloMessaging
import Testing

@testable import Capture

@Suite struct CaptureFileTests {
    static let line = CaptureLine(
        capturedAt: Date(timeIntervalSince1970: 1_795_395_522.25), exchange: "openstack", routingKey: "pivotd.h",
        redelivered: true,
        properties: AMQPProperties(
            contentType: "application/json", headers: ["a": 1], deliveryMode: 2, priority: 0, messageID: "m", timestamp: 7),
        body: .json(["oslo.version": "2.0", "oslo.message": "{\"method\":\"x\"}"]))

    static func entries(_ path: String) async throws -> [CaptureEntry] {
        let reader = try CaptureReader(path: path)
        var entries: [CaptureEntry] = []
        while let entry = try await reader.next() { entries.append(entry) }
        return entries
    }

    static func messages(_ path: String) async throws -> [CaptureLine] {
        try await entries(path).map { entry in
            guard case .message(let line, _) = entry else { throw CaptureLineError("broken: \(entry)") }
            return line
        }
    }

    @Test(arguments: ["c.jsonl", "c.jsonl.gz"]) func readsWhatItWrites(name: String) async throws {
        let file = try TemporaryFile(name)
        let writer = try CaptureWriter(path: file.path)
        var other = Self.line
        other.body = .bytes([0x80, 0x00, 0x0a])
        for line in [Self.line, other] { try await writer.write(line) }
        try await writer.close()
        #expect(file.contents.starts(with: [0x1f, 0x8b]) == name.hasSuffix("gz"))
        let lines = try await Self.messages(file.path)
        #expect(lines.map(\.json) == [Self.line.json, other.json])
        #expect(lines[0].properties == Self.line.properties)
        #expect(lines[1].body.bytes == [0x80, 0x00, 0x0a])
    }

    @Test func eachMessageIsInTheFileAtOnce() async throws {
        let file = try TemporaryFile()
        let writer = try CaptureWriter(path: file.path)
        try await writer.write(Self.line)
        #expect(file.contents.last == 0x0a)
        let status = try FileManager.default.attributesOfItem(atPath: file.path)
        #expect((status[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        try await writer.close()
    }

    @Test func reportsBrokenLinesWithTheirPlace() async throws {
        let good = Self.line.json.serialized()
        let texts = [good, "", "garbage", String(good.prefix(60)), "[1]", "{}", good]
        let file = try TemporaryFile("c.jsonl", texts.joined(separator: "\n"))
        let entries = try await Self.entries(file.path)
        var broken: [Int] = []
        var lines: [Int] = []
        for entry in entries {
            switch entry {
            case .broken(let location, let reason):
                broken.append(location.line)
                #expect(location.file == file.path && !reason.contains("garbage"))
            case .message(_, let location): lines.append(location.line)
            }
        }
        #expect(broken == [3, 4, 5, 6])
        #expect(lines == [1, 7])
    }

    @Test func passesOverAByteOrderMark() async throws {
        let text = "\u{feff}" + Self.line.json.serialized() + "\n"
        let file = try TemporaryFile("c.jsonl", text)
        #expect(try await Self.messages(file.path).map(\.json) == [Self.line.json])
    }

    @Test func readsRabtapIndentedOrNot() async throws {
        let message = """
            {
              "Headers": {
                "h": "v"
              },
              "ContentType": "application/json",
              "DeliveryMode": 2,
              "Priority": 0,
              "Timestamp": "0001-01-01T00:00:00Z",
              "DeliveryTag": 1,
              "Redelivered": false,
              "Exchange": "openstack",
              "RoutingKey": "pivotd.h",
              "XRabtapReceivedTimestamp": "2026-11-23T01:58:42.25+01:00",
              "Body": "eyJtZXRob2QiOiJ4In0="
            }
            """
        let flat = try JSONValue(parsing: message).serialized()
        let cut = message.split(separator: "\n").dropLast(3).joined(separator: "\n")
        let file = try TemporaryFile("rabtap.json", [message, flat, cut, message].joined(separator: "\n"))
        let entries = try await Self.entries(file.path)
        #expect(entries.count == 4)
        for index in [0, 1, 3] {
            guard case .message(let line, _) = entries[index] else {
                Issue.record("message \(index) was not read")
                continue
            }
            #expect(line.capturedAt == Self.line.capturedAt)
            #expect(line.body == .json(["method": "x"]))
            #expect(line.routingKey == "pivotd.h")
            #expect(line.properties.deliveryMode == 2 && line.properties.timestamp == nil)
        }
        guard case .broken(let location, _) = entries[2] else {
            Issue.record("the cut message was read")
            return
        }
        #expect(location.line == 17)
    }

    @Test func readsRabtapsBodyBesideTheFile() async throws {
        let file = try TemporaryFile(
            "rabtap-1.json",
            #"{"Exchange":"e","RoutingKey":"k","XRabtapReceivedTimestamp":"2026-11-23T00:58:42Z","Body":""}"#)
        let body = (file.path as NSString).deletingPathExtension + ".dat"
        try Data(#"{"method":"x"}"#.utf8).write(to: URL(fileURLWithPath: body))
        #expect(try await Self.messages(file.path).map(\.body) == [.json(["method": "x"])])
    }

    @Test func readsTheTracingLogAndCountsEachMessageOnce() async throws {
        func entry(_ type: String) -> String {
            """
            {"timestamp":"2026-11-23 0:58:42:250","type":"\(type)","node":"rabbit@h","connection":"c","vhost":"/","user":"u",\
            "channel":1,"exchange":"openstack","queue":"none","routed_queues":["pivotd.h"],"routing_keys":["pivotd.h"],\
            "properties":{"delivery_mode":2,"headers":{}},"payload":"eyJtZXRob2QiOiJ4In0="}
            """
        }
        let both = try TemporaryFile(
            "trace.log", [entry("published"), entry("received"), entry("published")].joined(separator: "\n"))
        let lines = try await Self.messages(both.path)
        #expect(lines.count == 2)
        #expect(lines[0].capturedAt == Self.line.capturedAt && lines[0].body == .json(["method": "x"]))
        let deliveries = try TemporaryFile("trace.log", [entry("received"), entry("received")].joined(separator: "\n"))
        #expect(try await Self.messages(deliveries.path).count == 2)
    }

    @Test func opensWhatTheFirehoseTellsOf() throws {
        var line = Self.line
        line.exchange = "amq.rabbitmq.trace"
        line.routingKey = "publish.openstack"
        line.properties.headers = [
            "exchange_name": "openstack", "routing_keys": .array(["pivotd.h"]), "properties": .table(["delivery_mode": 1]),
            "node": "n",
        ]
        let traced = try #require(line.traced)
        #expect(traced.exchange == "openstack" && traced.routingKey == "pivotd.h" && traced.properties.deliveryMode == 1)
        #expect(Self.line.traced == nil)
    }

    @Test func aCutOffArchiveIsReadAsFarAsItGoes() async throws {
        let file = try TemporaryFile("c.jsonl.gz")
        let writer = try CaptureWriter(path: file.path)
        for index in 0..<2000 {
            var line = Self.line
            line.routingKey = "\(index) \(UUID())"
            try await writer.write(line)
        }
        try await writer.close()
        let whole = file.contents
        try whole.prefix(whole.count / 2).write(to: URL(fileURLWithPath: file.path))
        let entries = try await Self.entries(file.path)
        guard case .broken(let place, let reason)? = entries.last else {
            Issue.record("the cut was not noticed")
            return
        }
        #expect(entries.count > 500 && reason.hasPrefix("the compressed data is truncated") && place.line == entries.count)
        let broken = entries.filter { if case .broken = $0 { true } else { false } }
        #expect(broken.count == 1, "what stands before the cut is no line of its own")
    }

    @Test func eachMessageOfACompressedFileCanBeReadAtOnce() async throws {
        let file = try TemporaryFile("c.jsonl.gz")
        let writer = try CaptureWriter(path: file.path)
        for count in 1...3 {
            try await writer.write(Self.line)
            let entries = try await Self.entries(file.path)
            #expect(entries.count == count + 1)
            guard case .broken(_, let reason)? = entries.last else {
                Issue.record("a file without its end is called whole")
                return
            }
            #expect(reason.hasPrefix("the compressed data is truncated"))
        }
        try await writer.close()
        #expect(try await Self.messages(file.path).count == 3)
    }

    @Test func anEmptyRecordingIsAGzipFileToo() async throws {
        let file = try TemporaryFile("c.jsonl.gz")
        try await CaptureWriter(path: file.path).close()
        #expect(file.contents.starts(with: [0x1f, 0x8b]))
        #expect(try await Self.messages(file.path).isEmpty)
    }

    /// What stands behind two members, and how many entries are read then.
    @Test(
        arguments: [([], 4), ([0, 0, 0], 4), (Array("more".utf8), 5), ([0x1f, 0x8b, 8], 5), ([0x1f, 0x41], 5)] as [([UInt8], Int)]
    )
    func membersAreReadOneAfterTheOther(_ tail: [UInt8], _ count: Int) async throws {
        let file = try TemporaryFile("c.jsonl.gz")
        let writer = try CaptureWriter(path: file.path)
        for _ in 0..<2 { try await writer.write(Self.line) }
        try await writer.close()
        let member = file.contents
        try (member + member + tail).write(to: URL(fileURLWithPath: file.path))
        #expect(try await Self.entries(file.path).count == count)
    }

    @Test func aLineLargerThanAnyBufferIsCompressedToo() async throws {
        let file = try TemporaryFile("c.jsonl.gz")
        let writer = try CaptureWriter(path: file.path)
        var line = Self.line
        line.body = .bytes((0..<400_000).map { _ in UInt8.random(in: 0...255) })
        for _ in 0..<2 { try await writer.write(line) }
        try await writer.close()
        #expect(try await Self.messages(file.path).map(\.body) == [line.body, line.body])
    }

    @Test func damageIsTold() async throws {
        let file = try TemporaryFile("c.jsonl.gz")
        let writer = try CaptureWriter(path: file.path)
        for _ in 0..<50 { try await writer.write(Self.line) }
        try await writer.close()
        for place in stride(from: 20, to: file.contents.count, by: 31) {
            var bytes = file.contents
            bytes[place] ^= 0xff
            let damaged = try TemporaryFile("d.jsonl.gz")
            try bytes.write(to: URL(fileURLWithPath: damaged.path))
            let entries = try await Self.entries(damaged.path)
            let isTold = entries.contains { if case .broken = $0 { true } else { false } }
            #expect(isTold, "byte \(place)")
        }
    }

    @Test(arguments: ["full", "full.gz"]) func aFullDiskIsToldWithWhatIsInTheFile(name: String) async throws {
        let file = try TemporaryFile(name)
        try? FileManager.default.removeItem(atPath: file.path)
        try FileManager.default.createSymbolicLink(atPath: file.path, withDestinationPath: "/dev/full")
        let writer = try CaptureWriter(path: file.path)
        let error = await #expect(throws: CaptureError.self) {
            try await writer.write(Self.line)
            try await writer.close()
        }
        #expect(
            error?.description.hasSuffix("No space left on device; 0 messages are in it") == true, "\(String(describing: error))")
    }

    @Test func aPipeWithoutAReaderIsSaid() throws {
        let file = try TemporaryFile("pipe")
        try? FileManager.default.removeItem(atPath: file.path)
        try #require(mkfifo(file.path, 0o600) == 0)
        let error = #expect(throws: CaptureError.self) { try CaptureWriter(path: file.path) }
        #expect(error?.description == "\(file.path): nobody reads this pipe; start its reader first")
    }

    @Test func aMissingFileIsSaid() {
        #expect(throws: CaptureError.self) { try CaptureReader(path: "/no/such/file") }
        #expect(throws: CaptureError.self) { try CaptureWriter(path: "/no/such/file") }
    }
}
