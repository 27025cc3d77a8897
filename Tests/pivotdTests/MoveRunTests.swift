import BulkMove
import Foundation
import JSON
import Synchronization
import Testing

@testable import pivotd

@Suite(.timeLimit(.minutes(10))) struct MoveRunTests {
    /// Workers that know no task.
    private final class Forgetful: MoveWorkers {
        let sent = Mutex<[Int]>([])

        func status(of line: MoveLine, attempt: Int) async -> MoveBus.Answer { .unknown }

        func send(_ line: MoveLine, attempt: Int) async -> String? {
            sent.withLock { $0.append(attempt) }
            return nil
        }
    }

    private static func line() throws -> MoveLine {
        func info(_ id: String) -> JSONValue {
            ["driver_volume_type": "lvm", "serial": .string(id), "data": ["device_path": .string("/dev/vg/\(id)")]]
        }
        return try MoveLine(
            [
                "host": "compute1", "instance": "7f0c4a5e-3a39-4b8a-9f0e-2b6d0d0c7a11", "mountpoint": "/dev/vdb",
                "old_connection_info": info("old"), "new_connection_info": info("new"),
            ], number: 1)
    }

    /// A schedule of one line that is under way, and whose window opens in some hours.
    private static func schedule(opensIn hours: Int) throws -> MoveSchedule {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let opening = calendar.component(.hour, from: .now) + hours
        var limits = MoveSchedule.Limits()
        limits.window = MoveWindow("\(opening % 24):00-\((opening + 2) % 24):00")
        try #require(limits.window != nil)
        let running = MoveStatus(["state": "copying"])
        return MoveSchedule([try line()], [.known(attempt: 2, running)], limits: limits, now: .now, calendar: calendar)
    }

    /// The state of the report's only line; nil if there is none yet.
    private static func state(_ report: URL) -> String? {
        (try? Data(contentsOf: report)).flatMap { try? JSONValue(parsing: $0) }?["state"]?.stringValue
    }

    @Test(arguments: [(0, [2], "sent"), (4, [], "pending")])
    func aLineThatItsWorkerDoesNotKnowIsSentAgainOnlyWithinTheWindow(hours: Int, sent: [Int], state: String) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "move-\(UUID().uuidString).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        let workers = Forgetful()
        let schedule = try Self.schedule(opensIn: hours)
        let states = Mutex<[[String]]>([])
        let move = Task {
            var run = MoveRun(
                schedule, workers, hostTimeout: .seconds(600), report: try MoveReportFile(file.path),
                onChange: { entries in states.withLock { $0.append(entries.map(\.stateName)) } })
            return await run.carryOut()
        }
        while workers.sent.withLock(\.isEmpty), [nil, "copying"].contains(Self.state(file)) {
            try await Task.sleep(for: .milliseconds(10))
        }
        move.cancel()
        let entry = try #require(try await move.value.first)
        #expect(entry.stateName == state && entry.attempt == 2 && workers.sent.withLock(\.self) == sent)
        // What an interrupted command says is left runs.
        let told = states.withLock(\.self)
        #expect(told.last == [state] && told.contains(["copying"]))
    }

    @Test func aReaderThatStallsStopsNeitherTheMoveNorItsEnd() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "move-\(UUID().uuidString).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        let (workers, reader) = (Forgetful(), DispatchSemaphore(value: 0))
        defer { reader.signal() }
        let schedule = try Self.schedule(opensIn: 0)
        let move = Task {
            let display = MoveDisplay(
                DisplayOutput { _ in
                    reader.wait()
                    reader.signal()
                })
            var run = MoveRun(
                schedule, workers, hostTimeout: .seconds(600), report: try MoveReportFile(file.path), display: display)
            return await run.carryOut()
        }
        while workers.sent.withLock(\.isEmpty) { try await Task.sleep(for: .milliseconds(10)) }
        move.cancel()
        #expect(try await move.value.first?.stateName == "sent")
        #expect(Self.state(file) == "sent")
    }
}
