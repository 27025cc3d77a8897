import Foundation
import JournalConformance
import Testing
import VolumeSwap

@testable import Journal

@Suite struct HistoryTextTests {
    private static let date = Date(timeIntervalSince1970: 1_700_000_000.25)

    @Test(
        arguments: [
            .phase(.rollingBack), .note("the copy was not ready: error 83"), .note("note reply"), .reply(.givenUp),
        ] as [HistoryEntry.Event])
    func everyEventIsReadBack(event: HistoryEntry.Event) {
        let entry = HistoryEntry(event, at: Self.date)
        #expect(HistoryText.entries(HistoryText.line(entry)) == [entry])
    }

    @Test func aNoteIsOneLineOfBoundedLength() {
        let long = "a\nb\u{1B}[2J\u{85}" + String(repeating: "ü", count: 1000)
        let line = HistoryText.line(HistoryEntry(.note(long), at: Self.date))
        #expect(line.hasPrefix("1700000000250 note a b [2J ü"))
        #expect(line.hasSuffix("ü…\n"))
        #expect(line.unicodeScalars.count == "1700000000250 note …\n".unicodeScalars.count + HistoryText.noteLimit)
    }

    @Test func aNoteEndsWithAWholeWord() {
        let line = HistoryText.line(HistoryEntry(.note(String(repeating: "seconds ", count: 100)), at: Self.date))
        #expect(line.hasSuffix("seconds seconds …\n"))
    }

    @Test(
        arguments: [
            "", "\n", "1700000000250", "0000250 copying", "1700000000250 copyi", "1700000000250 reply", "1700000000250 reply x",
            "170000000x250 copying", "rest of a note", "1700000000250 ",
        ])
    func whatWasCutThroughIsLeftOut(text: String) { #expect(HistoryText.entries(text).isEmpty) }

    @Test func aLongHistoryKeepsItsBeginningAndItsEnd() async throws {
        let directory = try TemporaryDirectory()
        let journal = try await directory.open()
        let id = TaskID("t1")
        _ = try await journal.accept(Sample.record("t1"))
        for number in 0..<400 {
            try await journal.enter(id, .copying, plan: nil)
            journal.remark(id, "remark \(number)")
        }
        try await journal.finish(id, .success(Sample.result), at: .now)
        try await journal.settle(id, .delivered)
        let events = try await journal.history(id).map(\.event)
        #expect(events.prefix(2) == [.phase(.copying), .note("remark 0")])
        #expect(events.suffix(3) == [.note("remark 399"), .phase(.completed), .reply(.delivered)])
        let length = try journal.fetchInt("SELECT length(history) FROM task") ?? 0
        #expect(length <= HistoryText.limit + 400)
        #expect(length > HistoryText.kept.first + HistoryText.kept.last / 2)
        await journal.close()
    }

    @Test func aHistoryOutlivesItsTasksSecrets() async throws {
        let directory = try TemporaryDirectory()
        var journal = try await directory.open()
        let id = TaskID("t1")
        _ = try await journal.accept(Sample.record("t1"))
        try await journal.enter(id, .copying, plan: try Sample.plan)
        await journal.close()
        journal = try await directory.open()
        try await journal.finish(id, .success(Sample.result), at: .now)
        try await journal.settle(id, .delivered)
        await journal.scrub()
        #expect(try await journal.history(id).map(\.event) == [.phase(.copying), .phase(.completed), .reply(.delivered)])
        #expect(try directory.bytes().firstRange(of: Data(Sample.argsSecret.utf8)) == nil)
        await journal.close()
    }
}
