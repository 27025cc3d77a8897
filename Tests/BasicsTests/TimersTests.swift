import Synchronization
import Testing

@testable import Basics

@Suite("Timers", .timeLimit(.minutes(10)))
struct TimersTests {
    @Test("Actions run in the order of their times, however they were scheduled")
    func order() async {
        let timers = Timers()
        let ran = Mutex<[Int]>([])
        let isOver = Waiter<Void>()
        let delays = [60, 20, 40]
        // Kept, as cancelled ones run no action.
        let entries = delays.map { delay in
            timers.schedule(after: .milliseconds(delay)) {
                ran.withLock { $0.append(delay) }
                if delay == 60 { isOver.resume() }
            }
        }
        await isOver.value()
        #expect(ran.withLock { $0 } == [20, 40, 60])
        #expect(timers.count == 0)
        for entry in entries { entry.cancel() }
    }

    @Test("A cancelled action does not run, and what it holds is freed at once")
    func cancelled() async {
        final class Held: Sendable {}
        let timers = Timers()
        var held: Held? = Held()
        weak let freed = held
        let entry = timers.schedule(after: .milliseconds(10)) { [held] in
            Issue.record("ran, with \(String(describing: held))")
        }
        held = nil
        #expect(freed != nil)
        entry.cancel()
        #expect(freed == nil)
        let isOver = Waiter<Void>()
        _ = timers.schedule(after: .milliseconds(20)) { isOver.resume() }
        await isOver.value()
    }

    @Test("A time that is past runs at once, and an earlier one than all others is not missed")
    func past() async {
        let timers = Timers()
        let late = timers.schedule(after: .seconds(3600)) { Issue.record("an hour has passed") }
        let isOver = Waiter<Void>()
        _ = timers.schedule(after: .seconds(-1)) { isOver.resume() }
        await isOver.value()
        late.cancel()
    }

    @Test("Cancelled ones are swept: their number stays bounded")
    func swept() {
        let timers = Timers()
        for _ in 0..<10_000 { timers.schedule(after: .seconds(3600)) {}.cancel() }
        #expect(timers.count <= 64)
    }

    @Test("A sleep ends with its time, or throws when its task is cancelled, at once")
    func sleep() async throws {
        let timers = Timers()
        try await timers.sleep(for: .milliseconds(1))
        let sleeper = Task { try await timers.sleep(for: .seconds(3600)) }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
    }
}
