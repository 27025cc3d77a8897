import Foundation
import GRDB
import JSON
import Logging

@testable import Journal
@testable import VolumeSwap

/// A test's own directory, and records for a journal in it.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/pivotd-journal-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var state: String { path + "/state" }
    var database: String { state + "/journal.sqlite" }

    func open(log: @escaping @Sendable (String) -> Void = { _ in }) async throws -> SQLiteJournal {
        try await SQLiteJournal.open(directory: state, logger: Logger(label: "test") { _ in LineHandler(line: log) })
    }

    func mode(_ path: String) throws -> Int {
        try require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    /// Every byte of the state directory's files.
    func bytes() throws -> Data {
        try FileManager.default.contentsOfDirectory(atPath: state).reduce(into: Data()) { data, name in
            data.append(try Data(contentsOf: URL(fileURLWithPath: state + "/" + name)))
        }
    }

    private func require<Value>(_ value: Value?) throws -> Value {
        guard let value else { throw CocoaError(.fileReadUnknown) }
        return value
    }
}

enum Sample {
    static let instance = "5a9c2a6c-1f2b-4b5e-9f7a-0d6f6f1f0c11"
    static let argsSecret = "args-hunter2-args"
    static let tokenSecret = "token-hunter2-token"
    static let savedSecret = "vnc-hunter2-vnc"

    static func record(
        _ id: String, instance: String = Sample.instance, disk: String = "vdb", isCall: Bool = true,
        at time: Double = 1_700_000_000
    ) -> SwapRecord {
        let connection: JSONValue = [
            "driver_volume_type": "iscsi", "data": ["target_iqn": "iqn.2010-10.org:v", "auth_password": .string(argsSecret)],
        ]
        return SwapRecord(
            id: TaskID(id), instanceKey: instance, disk: disk,
            args: ["instance": .string(instance), "new_connection_info": connection, "mountpoint": "/dev/vdb"],
            context: ["request_id": "req-1", "auth_token": .string(tokenSecret)],
            replyTo: isCall ? ReplyTo(messageID: "m-\(id)", queue: "reply_1", timeout: 60) : nil,
            acceptedAt: Date(timeIntervalSince1970: time))
    }

    static var plan: SwapPlan {
        get throws {
            let json = """
                {"domain": {"uuid": "\(instance)", "name": "instance-1"}, "disk": "vdb", "strategy": "rebase",
                 "oldLocation": {"file": {"_0": "/v/old"}},
                 "destination": {"location": {"block": {"_0": "/dev/vg/new"}}, "format": "raw"},
                 "oldBytes": 1073741824, "usesSlice": false, "wasPersistent": true,
                 "savedXML": "<domain><graphics passwd='\(savedSecret)'/></domain>", "isNewConnected": true,
                 "options": \(String(decoding: try JSONEncoder().encode(SwapOptions()), as: UTF8.self)),
                 "keptElements": ["<target>"], "attempts": 1, "warnings": ["w"]}
                """
            return try JSONDecoder().decode(SwapPlan.self, from: Data(json.utf8))
        }
    }

    /// SQL that takes from a task's row what every row has, as a damaged page may lack it.
    static func losing(_ column: String, of id: String) -> String {
        """
        PRAGMA writable_schema = ON;
        UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'task';
        PRAGMA writable_schema = RESET;
        UPDATE task SET \(column) = NULL WHERE id = '\(id)'
        """
    }

    static let result = result(password: argsSecret)
    /// The form in which a settled record keeps it.
    static let maskedResult = result(password: "***")
    static let other = result(password: argsSecret, copied: 5)

    private static func result(password: String, copied: Int64 = 1 << 20) -> SwapResult {
        SwapResult(
            taskID: TaskID("t"), instanceUUID: instance, disk: "vdb", oldVolumeID: "old", strategy: .rebase, hypervisor: "qemu",
            connectionInfo: ["data": ["auth_password": .string(password), "device_path": "/dev/vg/new"]],
            capacityBytes: 1 << 30, copiedBytes: copied, duration: 1.5, resized: true, warnings: ["slice"])
    }
}

/// Forwards each line.
struct LineHandler: LogHandler {
    let line: @Sendable (String) -> Void
    var logLevel = Logger.Level.trace
    var metadata = Logger.Metadata()

    init(line: @escaping @Sendable (String) -> Void) { self.line = line }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { line("\(event.message) \(event.metadata ?? [:])") }
}

extension SQLiteJournal {
    /// Runs SQL on the writer's connection, blocking.
    func execute(_ sql: String) throws { try database.writeWithoutTransaction { db in try db.execute(sql: sql) } }

    func fetchInt(_ sql: String) throws -> Int? { try database.writeWithoutTransaction { db in try Int.fetchOne(db, sql: sql) } }

    /// The records of ``unfinished()``.
    func unfinishedRecords() async throws -> [SwapRecord] {
        var records: [SwapRecord] = []
        for task in try await unfinished() { if let record = try await record(task.id) { records.append(record) } }
        return records
    }
}
