import Foundation
import JSON
import Testing

@testable import VolumeSwap

@Suite("What a task's history says", .timeLimit(.minutes(10)))
struct SwapHistoryTests {
    private static let id = TaskID("task-1")

    private static func notes(_ history: [HistoryEntry]) -> [String] {
        history.compactMap { if case .note(let text) = $0.event { text } else { nil } }
    }

    private static func phases(_ history: [HistoryEntry]) -> [SwapPhase] {
        history.compactMap { if case .phase(let phase) = $0.event { phase } else { nil } }
    }

    @Test("The plan, the phases, the outcome and the reply, in order")
    func success() async throws {
        let bench = ServiceBench()
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record("task-1", ["options": ["bandwidth_mib_s": 50]]))
            _ = try await bench.nextSettlement()
            let history = try await service.history(of: Self.id)
            #expect(
                Self.phases(history) == [.preparing, .starting, .copying, .ready, .pivoting, .storing, .completed])
            let plan = try #require(Self.notes(history).first)
            #expect(plan.hasPrefix("vdb of \(Fixture.domain.name): ") && plan.hasSuffix(" by copy, at most 50 MiB/s"))
            #expect(history.last?.event == .reply(.delivered))
            #expect(history.map(\.at) == history.map(\.at).sorted())
        }
    }

    @Test("Why it was rolled back, and who wanted it")
    func abort() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            while try await service.status(.task(Self.id)).phase != .copying { await Task.yield() }
            _ = try await service.setBandwidth(.task(Self.id), mibS: 5)
            _ = try await service.setBandwidth(.task(Self.id), mibS: 0)
            _ = try await service.abort(.task(Self.id))
            _ = try await bench.nextSettlement()
            let history = try await service.history(of: Self.id)
            #expect(
                Self.notes(history).dropFirst().prefix(4) == [
                    "limited to 5 MiB/s by request", "limit lifted by request", "abort requested",
                    "rolls back: aborted by request",
                ])
            #expect(Self.phases(history).suffix(2) == [.rollingBack, .aborted])
        }
    }

    @Test("A restart, and a cast's missing reply")
    func restart() async throws {
        let bench = ServiceBench()
        bench.bench.journal.put(Fixture.record(call: false))
        try await bench.service.recover()
        try await bench.running { (service: SwapService) async throws in
            _ = try await bench.nextSettlement()
            let history = try await service.history(of: Self.id)
            #expect(history.first?.event == .note("pivotd was restarted"))
            #expect(history.last?.event == .phase(.completed))
        }
    }

    @Test("A remark that only counts on is not repeated")
    func remarks() {
        let marks = SwapMarks()
        #expect(marks.isNews("not ended after 10 s"))
        #expect(!marks.isNews("not ended after 20 s"))
        #expect(marks.isNews("the domain does not respond"))
        #expect(marks.isNews("not ended after 30 s"))
        for number in 0..<100 { _ = marks.isNews(String(repeating: "x", count: number + 1)) }
        #expect(!marks.isNews("one more"), "a history is short")
    }
}
