import Foundation
import JSON
import Testing

@testable import BulkMove

@Suite("What a move starts")
struct MoveScheduleTests {
    private static let noon = Date(timeIntervalSince1970: 1_795_435_200)

    private func schedule(
        _ lines: [MoveLine], _ findings: [MoveSchedule.Finding]? = nil, _ change: (inout MoveSchedule.Limits) -> Void = { _ in }
    ) -> MoveSchedule {
        var limits = MoveSchedule.Limits()
        change(&limits)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let fresh = lines.map { _ in MoveSchedule.Finding.fresh(attempt: 1) }
        return MoveSchedule(lines, findings ?? fresh, limits: limits, now: Self.noon, calendar: calendar)
    }

    private func lines(_ hosts: String...) throws -> [MoveLine] {
        try hosts.enumerated().map { try Sample.made($0 + 1, ["host": .string($1)]) }
    }

    @Test("In the plan's order, as many as the limits allow in all and on each host")
    func limits() throws {
        var schedule = schedule(try lines("a", "a", "a", "b", "b", "c")) { $0.total = 4 }
        #expect(schedule.start(at: Self.noon) == [0, 1, 3, 4])
        #expect(schedule.start(at: Self.noon) == [])
        schedule.note(Sample.status("copying"), of: 0, at: Self.noon)
        #expect(schedule.start(at: Self.noon) == [])
        schedule.note(Sample.status("completed"), of: 3, at: Self.noon)
        #expect(schedule.start(at: Self.noon) == [5])
        schedule.note(Sample.status("completed"), of: 0, at: Self.noon)
        #expect(schedule.start(at: Self.noon) == [2])
        for index in [1, 2, 4, 5] { schedule.note(Sample.status("completed"), of: index, at: Self.noon) }
        #expect(schedule.isOver(at: Self.noon) && schedule.entries.allSatisfy(\.isSuccess))
    }

    @Test("One disk of an instance at a time")
    func instances() throws {
        let lines = [try Sample.made(1), try Sample.made(2, ["instance": Sample.line(1)["instance"], "mountpoint": "vdc"])]
        var schedule = schedule(lines)
        #expect(schedule.start(at: Self.noon) == [0])
        schedule.note(Sample.status("completed"), of: 0, at: Self.noon)
        #expect(schedule.start(at: Self.noon) == [1])
    }

    @Test("Only within the window; what runs goes on")
    func window() throws {
        var schedule = schedule(try lines("a", "b")) {
            $0.window = MoveWindow("12:00-12:30")
            $0.total = 1
        }
        #expect(schedule.start(at: Self.noon) == [0])
        let later = Self.noon.addingTimeInterval(1800)
        schedule.note(Sample.status("completed"), of: 0, at: later)
        #expect(schedule.start(at: later) == [] && schedule.isWaitingForWindow(at: later) && !schedule.isOver(at: Self.noon))
        #expect(schedule.start(at: Self.noon.addingTimeInterval(86_400)) == [1])
    }

    @Test("A line that its worker does not know is sent again, in the same attempt, when there is a place and the window is open")
    func putBack() throws {
        var schedule = schedule(try lines("a", "a", "b")) {
            $0.window = MoveWindow("12:00-12:30")
            $0.perHost = 1
        }
        #expect(schedule.start(at: Self.noon) == [0, 2])
        schedule.putBack(0)
        let later = Self.noon.addingTimeInterval(1800)
        #expect(schedule.start(at: later) == [] && !schedule.isOver(at: later))
        #expect(schedule.entries[0].attempt == 1 && schedule.entries[0].taskID == schedule.entries[0].line.taskID(attempt: 1))
        #expect(schedule.start(at: Self.noon) == [0])
        #expect(schedule.start(at: Self.noon) == [])
        schedule.note(Sample.status("completed"), of: 0, at: Self.noon)
        schedule.putBack(0)
        #expect(schedule.entries[0].isSuccess && schedule.start(at: Self.noon) == [1])
    }

    @Test("Failures that may pass are retried, each time under another token and after twice the pause")
    func retries() throws {
        var schedule = schedule(try lines("a")) { $0.retries = 2 }
        var now = Self.noon
        var tokens: Set<String> = []
        for pause in [30.0, 60.0] {
            #expect(schedule.start(at: now) == [0])
            tokens.insert(try #require(schedule.entries[0].taskID))
            schedule.note(Sample.status("failed", "io_error", inUse: "old", retryable: true), of: 0, at: now)
            #expect(schedule.entries[0].isPending && schedule.entries[0].mayDelete == nil)
            #expect(schedule.start(at: now.addingTimeInterval(pause - 1)) == [])
            now = now.addingTimeInterval(pause)
        }
        #expect(schedule.start(at: now) == [0])
        tokens.insert(try #require(schedule.entries[0].taskID))
        #expect(tokens.count == 3)
        schedule.note(Sample.status("failed", "io_error", inUse: "old", retryable: true), of: 0, at: now)
        #expect(
            schedule.isOver(at: Self.noon) && schedule.entries[0].stateName == "failed" && schedule.entries[0].mayDelete == "new1"
        )
    }

    @Test("Other failures and aborts are not", arguments: ["failed", "aborted"])
    func noRetry(state: String) throws {
        var schedule = schedule(try lines("a"))
        _ = schedule.start(at: Self.noon)
        schedule.note(Sample.status(state, "no_space", inUse: "old", retryable: state == "aborted"), of: 0, at: Self.noon)
        #expect(schedule.isOver(at: Self.noon))
    }

    @Test("A failed swap is waited for while it is rolled back, but not for ever, and takes no place")
    func rollback() throws {
        var schedule = schedule(try lines("a", "b")) { $0.total = 1 }
        #expect(schedule.start(at: Self.noon) == [0])
        let status = Sample.status("finishing", "timed_out", inUse: "old", retryable: true, leftBehind: ["a copy"])
        schedule.note(status, of: 0, at: Self.noon)
        #expect(schedule.entries[0].isRunning && schedule.entries[0].mayDelete == nil)
        #expect(schedule.start(at: Self.noon) == [1])
        schedule.note(Sample.status("completed"), of: 1, at: Self.noon)
        let later = Self.noon.addingTimeInterval(30)
        schedule.note(status, of: 0, at: later)
        #expect(!schedule.isOver(at: Self.noon) && schedule.isOver(at: later))
        schedule.note(Sample.status("failed", "timed_out", inUse: "old", retryable: true), of: 0, at: later)
        #expect(!schedule.isOver(at: later) && schedule.entries[0].isPending)
    }

    @Test("What the workers know is resumed, and takes its place under the limits")
    func resumption() throws {
        let failed = Sample.status("failed", "io_error", inUse: "old", retryable: true)
        let findings: [MoveSchedule.Finding] = [
            .known(attempt: 1, Sample.status("completed")), .known(attempt: 2, Sample.status("copying")),
            .known(attempt: 1, Sample.status("queued")), .fresh(attempt: 1), .known(attempt: 2, failed),
            .known(attempt: 3, failed),
        ]
        var schedule = schedule(try lines("a", "a", "a", "a", "b", "c"), findings)
        #expect(schedule.entries.map(\.stateName) == ["completed", "copying", "queued", "pending", "pending", "failed"])
        #expect(schedule.entries.map(\.attempt) == [1, 2, 1, 1, 3, 3])
        #expect(schedule.start(at: Self.noon) == [])
        #expect(schedule.start(at: Self.noon.addingTimeInterval(3600)) == [4])
    }

    @Test("A host that is given up takes its waiting lines with it")
    func lostHost() throws {
        var schedule = schedule(try lines("a", "a", "b")) { $0.perHost = 1 }
        #expect(schedule.start(at: Self.noon) == [0, 2])
        schedule.giveUp(0)
        #expect(schedule.entries.map(\.stateName) == ["unreachable", "unreachable", "sent"])
        #expect(schedule.entries[0].taskID != nil && schedule.entries[1].taskID == nil)
    }

    @Test("Refused and unreachable lines are left alone")
    func refusals() throws {
        let details: JSONValue = ["reason_code": "multiattach", "in_use": "old"]
        let refusal = try #require(MoveRefusal(check: ["acceptable": false, "failure": ["kwargs": details]]))
        let findings: [MoveSchedule.Finding] = [
            .refused(refusal), .unreachable(MoveRefusal(message: "nobody")), .fresh(attempt: 1),
        ]
        var schedule = schedule(try lines("a", "b", "c"), findings)
        #expect(schedule.start(at: Self.noon) == [2])
        let reports = schedule.entries.map { JSONValue.object($0.report) }
        #expect(reports[0]["reason_code"] == "multiattach" && reports[0]["in_use"] == "old" && reports[0]["may_delete"] == .null)
        #expect(reports[1]["state"] == "unreachable" && reports[1]["task_id"] == .null)
        #expect(MoveRefusal(check: ["acceptable": true, "failure": nil]) == nil)
    }
}

@Suite("What may be deleted")
struct MayDeleteTests {
    private func mayDelete(_ status: MoveStatus, _ changes: [String: JSONValue?] = [:]) throws -> String? {
        let line = try Sample.made(1, changes)
        return MoveSchedule([line], [.known(attempt: 9, status)], limits: MoveSchedule.Limits(), now: .now).entries[0].mayDelete
    }

    @Test("The old volume after a success, unless it is shared")
    func success() throws {
        #expect(try mayDelete(Sample.status("completed", inUse: "new")) == "old1")
        let shared = Sample.line(1)["old_connection_info"]?.objectValue?.merging(["multiattach": true])
        #expect(try mayDelete(Sample.status("completed"), ["old_connection_info": shared.map { .object($0) }]) == nil)
        #expect(try mayDelete(Sample.status("completed"), ["new_volume_id": "old1"]) == nil)
    }

    @Test("The new volume after a failure on the old one that left nothing behind")
    func failure() throws {
        #expect(try mayDelete(Sample.status("failed", "no_space", inUse: "old")) == "new1")
        #expect(try mayDelete(Sample.status("aborted", "aborted", inUse: "old")) == "new1")
        #expect(try mayDelete(Sample.status("failed", "no_space", inUse: "old", leftBehind: ["a copy"])) == nil)
        for inUse in ["new", "none", "unknown", nil] {
            #expect(try mayDelete(Sample.status("failed", "io_error", inUse: inUse)) == nil)
        }
    }

    @Test("Nothing after a dry run, which moves nothing")
    func dryRun() throws {
        #expect(try mayDelete(Sample.status("completed", inUse: "new", hypervisor: "dry-run")) == nil)
        #expect(try mayDelete(Sample.status("failed", "no_space", inUse: "old", hypervisor: "dry-run")) == nil)
    }

    @Test("Nothing while it runs, nor a new volume that somebody else uses")
    func neither() throws {
        #expect(try mayDelete(Sample.status("copying", inUse: "old")) == nil)
        #expect(try mayDelete(Sample.status("failed", "new_volume_in_use", inUse: "old")) == nil)
        #expect(try mayDelete(Sample.status("failed", "configuration_failed", inUse: "old")) == nil)
    }
}
