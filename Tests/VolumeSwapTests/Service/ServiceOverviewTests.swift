import Foundation
import JSON
import Testing

@testable import VolumeSwap

@Suite("The service at a glance", .timeLimit(.minutes(10)))
struct ServiceOverviewTests {
    @Test("Running, waiting and ended swaps, each in one list")
    func lists() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        try await bench.running { (service: SwapService) async throws in
            for id in ["task-1", "task-2", "task-3"] { _ = await bench.submit(Fixture.record(id)) }
            while try await service.status(.task(TaskID("task-1"))).phase != .copying { await Task.yield() }
            var overview = service.overview()
            #expect(overview.underWay.map(\.id.text) == ["task-1"] && overview.underWay.first?.state == "copying")
            #expect(overview.waiting.map(\.id.text) == ["task-2", "task-3"])
            #expect(overview.waiting.first?.waitsFor == "instance" && overview.waiting.first?.oldVolumeID == "old-volume")
            #expect(overview.running == 1 && overview.queued == 2 && !overview.isPaused && overview.recent.isEmpty)
            service.isPaused = true
            _ = try await service.abort(.task(TaskID("task-1")))
            _ = try await bench.nextSettlement()
            overview = service.overview()
            #expect(overview.recent.map(\.id.text) == ["task-1"] && overview.recent.first?.state == "aborted")
            #expect(overview.recent.first?.failure == "aborted by request" && overview.recent.first?.inUse == .old)
            #expect(overview.isPaused && overview.underWay.isEmpty && overview.waiting.count == 2)
        }
    }

    @Test("It never shows more than a page holds, and begins with those from before a restart")
    func bounded() async throws {
        let bench = ServiceBench()
        for number in 0..<30 {
            var record = Fixture.record("old-\(number)", call: false)
            record.phase = .completed
            record.outcome = .success(Fixture.result("old-\(number)"))
            record.finishedAt = .now
            bench.bench.journal.put(record)
        }
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            _ = try await bench.nextSettlement()
            await service.recallRecent()
            let recent = service.overview().recent.map(\.id.text)
            #expect(recent.count == RecentSwaps.limit && recent.prefix(2) == ["task-1", "old-29"])
        }
    }
}
