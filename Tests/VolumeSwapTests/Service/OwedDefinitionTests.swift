import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("A definition that was removed is owed until it is stored", .timeLimit(.minutes(5)))
struct OwedDefinitionTests {
    static let id = TaskID("task-1")
    static let full = FakeHypervisor.Trouble(error: HypervisorError(.other, number: 38, "No space left on device"))

    /// A task answered as failed before a restart, since its definition could not be stored.
    static func told() -> SwapRecord {
        var record = ServiceRecoveryTests.record(.storing, strategy: .rebase)
        var failure = SwapFailure.rebaseFailed("moved, but not stored", .configurationFailed).leaving("no definition yet")
        failure.inUse = .new
        record.outcome = .failure(failure)
        record.replyTo = nil
        record.isReplied = true
        return record
    }

    @Test("Its caller is answered when store_retry_s is over, and it is tried again all the same")
    func goesOn() async throws {
        var inner = Bench()
        inner.storeRetry = .zero
        for _ in 0..<3 { inner.hypervisor.fail(.define, Self.full) }
        let bench = ServiceBench(inner)
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record("task-1", ["options": ["strategy": "rebase"]]))
            let told = try #require(try await bench.nextReply().outcome.failure)
            #expect(told.code == .configurationFailed && told.inUse == .new && !told.leftBehind.isEmpty)
            #expect(told.reason.contains("No space left"))
            #expect(try await bench.nextSettlement() == Self.id)
            let ended = try #require(try await service.status(.task(Self.id)).failure)
            #expect(ended.inUse == .new && ended.leftBehind.isEmpty && ended.reason.contains("could be written after all"))
        }
        inner.hypervisor.state.withLock { state in
            #expect(state.status.isPersistent && state.storedSource == Fixture.newPath && state.metadata == nil)
        }
    }

    @Test("It is stored also while the journal cannot store its caller's answer")
    func journalFails() async throws {
        var inner = Bench()
        inner.storeRetry = .zero
        for _ in 0..<3 { inner.hypervisor.fail(.define, Self.full) }
        let bench = ServiceBench(inner)
        bench.bench.journal.fail("answer", times: 1_000_000)
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record("task-1", ["options": ["strategy": "rebase"]]))
            #expect(try await bench.nextReply().outcome.result != nil)
        }
        #expect(inner.hypervisor.state.withLock { $0.status.isPersistent && $0.storedSource == Fixture.newPath })
    }

    @Test("After a restart it names the volume that the guest has moved to, also if the guest is gone", arguments: [true, false])
    func restart(isThere: Bool) async throws {
        let bench = ServiceBench()
        let hypervisor = bench.bench.hypervisor
        ServiceRecoveryTests.undefined(hypervisor)
        hypervisor.change { state in
            state.liveSource = Fixture.newPath
            (state.isKnown, state.status.isActive) = (isThere, isThere)
        }
        bench.bench.journal.put(Self.told())
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(try await bench.nextSettlement() == Self.id)
        }
        #expect(hypervisor.state.withLock { $0.status.isPersistent && $0.storedSource == Fixture.newPath })
    }

    @Test("It is restored from the domain's metadata while the outcome of its task is still being delivered")
    func orphan() async throws {
        let (gates, gate) = AsyncStream<Void>.makeStream()
        let bench = ServiceBench(onDeliver: { _ in for await _ in gates { break } })
        let hypervisor = bench.bench.hypervisor
        ServiceRecoveryTests.undefined(hypervisor)
        hypervisor.change { $0.liveSource = Fixture.newPath }
        var record = Self.told()
        record.phase = .failed
        record.replyTo = Fixture.record("task-1").replyTo
        record.isReplied = false
        bench.bench.journal.put(record)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            _ = try await bench.nextReply()
            await service.restoreOrphans()
            while !hypervisor.state.withLock({ $0.status.isPersistent }) { await Task.yield() }
            #expect(hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
            gate.yield()
            #expect(try await bench.nextSettlement() == Self.id)
        }
    }
}
