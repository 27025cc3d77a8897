import Foundation
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("hold and pivot_swap", .timeLimit(.minutes(10)))
struct HoldTests {
    static let id = TaskID("task-1")

    static func record(_ options: JSONObject = [:]) -> SwapRecord {
        var options = options
        options["hold"] = true
        return Fixture.record("task-1", ["options": .object(options)])
    }

    /// A held swap from before a restart.
    static func held() -> SwapRecord {
        var record = record()
        record.phase = .ready
        record.startedAt = .now
        record.plan = Fixture.plan(strategy: .copy)
        record.plan?.options.hold = true
        return record
    }

    static func untilHeld(_ service: SwapService) async throws {
        while try await service.status(id).phase != .ready { await Task.yield() }
    }

    @Test("It stays in step, without its instance's turn, until it is told to pivot")
    func holds() async throws {
        let bench = ServiceBench()
        let ran = Mutex<[String]>([])
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Self.record())
            for disk in ["vdb", "vdc"] {
                service.instanceQueue.fill(service.instanceQueue.reserve(Fixture.uuid, disk: disk)) {
                    ran.withLock { $0.append(disk) }
                }
            }
            try await Self.untilHeld(service)
            while ran.withLock({ $0 }) != ["vdc"] { await Task.yield() }
            #expect(bench.bench.hypervisor.log == ["copy"])
            #expect(service.running == 0 && service.environment.domainLocks.holder(of: Fixture.uuid) == nil)
            let swaps = try await service.pivot([Self.id, Self.id])
            #expect(swaps.count == 1 && swaps.first?.phase != .ready)
            #expect(try await bench.nextReply().outcome.result != nil)
            while ran.withLock({ $0 }) != ["vdc", "vdb"] { await Task.yield() }
        }
        #expect(bench.bench.hypervisor.log == ["copy", "pivot"])
    }

    @Test("Work on its disk waits, whether it names the domain as the held swap did or by its UUID")
    func names() async throws {
        let bench = ServiceBench()
        let ran = Mutex<[String]>([])
        let name: JSONValue = ["name": .string(Fixture.domain.name)]
        try await bench.running { (service: SwapService) async throws in
            var record = Fixture.record("task-1", ["options": ["hold": true], "instance": name])
            record.instanceKey = "name:\(Fixture.domain.name)"
            _ = await bench.submit(record)
            try await Self.untilHeld(service)
            for (key, disk) in [(Fixture.uuid, "vdb"), (record.instanceKey, "vdb"), (Fixture.uuid, "vdc")] {
                service.instanceQueue.fill(service.instanceQueue.reserve(key, disk: disk)) { ran.withLock { $0.append(disk) } }
            }
            while ran.withLock({ $0 }) != ["vdc"] { await Task.yield() }
            #expect(service.held == 1 && service.queued == 2)
            _ = try await service.pivot([Self.id])
            while ran.withLock({ $0 }) != ["vdc", "vdb", "vdb"] { await Task.yield() }
        }
        #expect(bench.service.held == 0 && bench.service.queued == 0)
    }

    @Test("Its time-outs do not count meanwhile")
    func timeouts() async throws {
        let bench = ServiceBench()
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Self.record(["timeout_s": 60, "stall_timeout_s": 30]))
            try await Self.untilHeld(service)
            bench.bench.clock.jump(.seconds(86_400))
            bench.bench.hypervisor.post(.ready)
            for _ in 0..<1000 { await Task.yield() }
            #expect(try await service.status(Self.id).phase == .ready)
            _ = try await service.pivot([Self.id])
            #expect(try await bench.nextReply().outcome.result != nil)
        }
    }

    @Test("It can be aborted, and a copy that fails ends it")
    func ends() async throws {
        for isAborted in [true, false] {
            let bench = ServiceBench()
            try await bench.running { (service: SwapService) async throws in
                _ = await bench.submit(Self.record())
                try await Self.untilHeld(service)
                if isAborted { _ = try await service.abort(.task(Self.id)) } else { bench.bench.hypervisor.post(.failed) }
                let failure = try #require(try await bench.nextReply().outcome.failure)
                #expect(failure.isAbort == isAborted && failure.inUse == .old)
                _ = try await bench.nextSettlement()
                await #expect(throws: SwapFailure.self) { try await service.pivot([Self.id]) }
            }
            #expect(!bench.bench.hypervisor.log.contains("pivot"))
        }
    }

    @Test("After a restart it is held again, without waiting for its instance's turn; for its pivot it waits")
    func restarts() async throws {
        let bench = ServiceBench()
        bench.bench.hypervisor.change { state in
            state.mirror = (Fixture.newPath, true)
            state.job = BlockJobInfo(type: "copy", cursor: 10, end: 10)
        }
        bench.bench.journal.put(Self.held())
        let (gates, gate) = AsyncStream<Void>.makeStream()
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            service.instanceQueue.fill(service.instanceQueue.reserve(Fixture.uuid, disk: "vdc")) {
                try? await service.environment.domainLocks.acquire(Fixture.uuid, for: TaskID("other"))
                for await _ in gates { break }
                service.environment.domainLocks.release(TaskID("other"))
            }
            while service.environment.domainLocks.holder(of: Fixture.uuid) == nil { await Task.yield() }
            let swaps = Task { try await service.pivot([Self.id]) }
            while service.environment.domainLocks.waiting(Fixture.uuid) == 0 { await Task.yield() }
            #expect(bench.bench.hypervisor.count("pivot") == 0)
            gate.yield()
            #expect(try await swaps.value.count == 1)
            #expect(try await bench.nextReply().outcome.result != nil)
        }
        #expect(bench.bench.hypervisor.log.filter { !$0.hasPrefix("speed") } == ["pivot"])
    }

    @Test("After a restart a held swap's roll-back that hangs does not hold up the instance's other swaps")
    func rollsBackAside() async throws {
        let bench = GroupBench()
        bench.putHeld([.rollingBack, .copying], nil)
        var (one, two) = (try #require(bench.journal.stored("task-b")), try #require(bench.journal.stored("task-c")))
        one.plan?.failure = .rebaseFailed("stalled", .stalled)
        two.plan?.options.hold = false
        bench.journal.put(one)
        bench.journal.put(two)
        for _ in 0..<100_000 { bench.twin.one.fail(.abort, ServiceHangTests.busy) }
        try await bench.service.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 2)
            let first = try await bench.service.nextReply()
            #expect(first.id == TaskID("task-c") && first.outcome.result != nil)
            bench.twin.one.change { $0.troubles[.abort] = [] }
            let second = try await bench.service.nextReply()
            #expect(second.id == TaskID("task-b") && second.outcome.failure?.code == .stalled)
        }
    }

    @Test("After a restart an abort does not wait for a task that has the domain")
    func abortedBehindAnother() async throws {
        let bench = ServiceBench()
        var record = Self.held()
        record.phase = .copying
        record.plan?.options.hold = false
        bench.bench.hypervisor.startJob(to: Fixture.newPath)
        bench.bench.journal.put(record)
        try await bench.running { (service: SwapService) async throws in
            service.environment.domainLocks.take(Fixture.uuid, for: TaskID("other"))
            #expect(try await service.recover() == 1)
            while service.environment.domainLocks.waiting(Fixture.uuid) == 0 { await Task.yield() }
            _ = try await service.abort(.task(Self.id))
            let failure = try await bench.nextReply().outcome.failure
            #expect(failure?.isAbort == true && failure?.inUse == .old)
        }
    }

    @Test("A pivot that waits for its instance's turn is remembered over a restart")
    func released() async throws {
        let other = TaskID("other")
        let bench = ServiceBench()
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Self.record())
            try await Self.untilHeld(service)
            try await service.environment.domainLocks.acquire(Fixture.uuid, for: other)
            let pivot = Task { try await service.pivot([Self.id]) }
            while try await bench.bench.journal.record(Self.id)?.plan?.isReleased != true { await Task.yield() }
            pivot.cancel()
            _ = try? await pivot.value
        }
        #expect(bench.bench.hypervisor.count("pivot") == 0)
        let stored = try #require(try await bench.bench.journal.record(Self.id))
        let next = ServiceBench(Bench(bench.bench.hypervisor))
        next.bench.journal.put(stored)
        try await next.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(try await next.nextReply().outcome.result != nil)
        }
        #expect(bench.bench.hypervisor.count("pivot") == 1)
    }

    @Test("A task that is not held is invalid input, and then none pivots")
    func refused() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Self.record())
            while try await service.status(Self.id).phase != .copying { await Task.yield() }
            for ids in [[Self.id], [TaskID("x")]] {
                let failure = await #expect(throws: SwapFailure.self) { try await service.pivot(ids) }
                #expect(failure?.kind == .invalidInput)
            }
            _ = try await service.abort(.task(Self.id))
            _ = try await bench.nextReply()
        }
    }

    @Test("rebase would leave the domain undefined meanwhile, so it is refused")
    func rebase() async throws {
        let outcome = try await Bench().run(["options": ["hold": true, "strategy": "rebase"]])
        #expect(outcome?.failure?.kind == .invalidInput)
    }
}

extension SwapService {
    fileprivate func status(_ id: TaskID) async throws -> SwapStatus { try await status(.task(id)) }
}
