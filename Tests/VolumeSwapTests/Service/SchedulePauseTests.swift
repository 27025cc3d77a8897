import Budgets
import Foundation
import JSON
import Testing

@testable import VolumeSwap

@Suite("Pauses by the schedule", .timeLimit(.minutes(10)))
struct SchedulePauseTests {
    /// A schedule that pauses now, or one that does not.
    private static func settings(_ bench: Bench, isPaused: Bool) -> SwapSettings {
        var settings = bench.environment.settings
        let hour = Calendar.current.component(.hour, from: .now)
        let (now, other) = (hour, (hour + 12) % 24)
        let times = isPaused ? "\(now):00 pause; \(other):00 0" : "\(now):00 0; \(other):00 pause"
        settings.budget.schedule = BandwidthSchedule(times)
        return settings
    }

    @Test("New swaps wait for the schedule, and begin when it lets them")
    func waits() async throws {
        let bench = ServiceBench()
        try await bench.running { (service: SwapService) async throws in
            service.change(Self.settings(bench.bench, isPaused: true))
            #expect(service.isOffSchedule)
            _ = await bench.submit(Fixture.record("task-1"))
            for _ in 0..<1000 { await Task.yield() }
            let status = try await service.status(.task(TaskID("task-1")))
            #expect(status.waitsFor == "schedule" && status.phase == .accepted && bench.bench.hypervisor.log == [])
            service.isPaused = true
            #expect(try await service.status(.task(TaskID("task-1"))).waitsFor == "pause")
            service.change(Self.settings(bench.bench, isPaused: false))
            #expect(!service.isOffSchedule)
            service.isPaused = false
            #expect(try await bench.nextReply().outcome.result != nil)
        }
    }

    @Test("Those that run go on, also after a restart, and one that waits can be aborted")
    func runningOnes() async throws {
        let bench = ServiceBench()
        bench.bench.hypervisor.change { state in
            state.mirror = (Fixture.newPath, true)
            state.job = BlockJobInfo(type: "copy", cursor: 10, end: 10)
        }
        var record = Fixture.record("task-1")
        record.phase = .copying
        record.startedAt = .now
        record.plan = Fixture.plan()
        bench.bench.journal.put(record)
        try await bench.running { (service: SwapService) async throws in
            service.change(Self.settings(bench.bench, isPaused: true))
            #expect(try await service.recover() == 1)
            #expect(try await bench.nextReply().outcome.result != nil)
            _ = await bench.submit(Fixture.record("task-2"))
            _ = try await service.abort(.task(TaskID("task-2")))
            #expect(try await bench.nextReply().outcome.failure?.isAbort == true)
        }
    }

    @Test("A queue that the schedule pauses runs what has begun before what has not, in another instance")
    func order() async throws {
        let queue = InstanceQueue(limit: 1)
        queue.isOffSchedule = true
        let (done, tell) = AsyncStream<String>.makeStream()
        for (key, isBegun) in [("a", false), ("b", true)] {
            queue.fill(queue.reserve(key, isBegun: isBegun)) { tell.yield(key) }
        }
        let run = Task { await queue.run() }
        var next = done.makeAsyncIterator()
        #expect(await next.next() == "b")
        queue.isOffSchedule = false
        #expect(await next.next() == "a")
        run.cancel()
        await run.value
    }
}
