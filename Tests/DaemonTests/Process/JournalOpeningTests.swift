import Foundation
import Journal
import Logging
import Synchronization
import Testing
import VolumeSwap

@testable import Daemon

@Suite(.timeLimit(.minutes(10))) struct JournalOpeningTests {
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test func aFullDiskIsWaitedFor() async throws {
        let directory = NSTemporaryDirectory() + "pivotd-opening-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let attempts = Mutex(0)
        let reasons = Mutex<[String]>([])
        let opening = JournalOpening(logger: logger) { reason in
            reasons.withLock { $0.append(reason) }
        } open: { () async throws(JournalError) in
            let attempt = attempts.withLock { count in
                count += 1
                return count
            }
            guard attempt > 1 else { throw JournalError(.unavailable, "the disk is full") }
            return try await SQLiteJournal.open(directory: directory)
        }
        let journal = try #require(try await opening.run())
        await journal.close()
        #expect(reasons.withLock { $0 } == ["the disk is full"])
    }

    @Test func whatWaitingDoesNotMendEndsTheStart() async {
        let opening = JournalOpening(logger: logger) { _ in
        } open: { () async throws(JournalError) in
            throw JournalError(.unusable, "not a journal")
        }
        await #expect(throws: JournalError.self) { _ = try await opening.run() }
    }

    @Test func theWaitEndsWhenItIsToldTo() async throws {
        let (waits, isWaiting) = AsyncStream<Void>.makeStream()
        let opening = JournalOpening(logger: logger) { _ in
            isWaiting.yield()
        } open: { () async throws(JournalError) in
            throw JournalError(.unavailable, "the disk is full")
        }
        let task = Task { try await opening.run() }
        for await _ in waits { break }
        task.cancel()
        #expect(try await task.value == nil)
    }
}
