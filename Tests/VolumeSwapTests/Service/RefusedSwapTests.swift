import JSON
import Testing

@testable import VolumeSwap

@Suite("Swaps that are refused for their arguments", .timeLimit(.minutes(10)))
struct RefusedSwapTests {
    private static let uuid = InstanceReference(uuid: Fixture.uuid, name: nil)
    private static let name = InstanceReference(uuid: nil, name: Fixture.domain.name)

    private static func record(_ instance: InstanceReference) -> SwapRecord {
        Fixture.record("refused", ["resize_to": "big"], instanceKey: instance.refusedKey)
    }

    @Test("The newest swap of a disk is found, also if it was refused", arguments: [true, false])
    func found(isByName: Bool) async throws {
        let bench = ServiceBench()
        var older = Fixture.record("older")
        older.outcome = .success(Fixture.result("older"))
        older.phase = .completed
        bench.bench.journal.put(older)
        try await bench.running { (service: SwapService) async throws in
            let record = Self.record(isByName ? Self.name : Self.uuid)
            _ = await service.carryOut(service.take(record, refusal: .invalidInput("resize_to: must be a number")))
            _ = try await bench.nextReply()
            for instance in [Self.uuid, Self.name] {
                #expect(try await service.status(.disk(instance, "vdb")).record.id.text == "refused")
                let listed = try await service.list(SwapQuery(instanceKeys: instance.keys))
                #expect(listed.map(\.record.id.text) == ["refused", "older"])
            }
        }
    }

    @Test("One that is about to be refused is not taken for the swap that is under way")
    func beside() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record("running"))
            bench.bench.journal.put(Self.record(Self.uuid))
            #expect(try await service.status(.disk(Self.uuid, "vdb")).record.id.text == "running")
        }
    }

    @Test("One that was stored before a restart is refused after it, without its instance's turn")
    func restart() async throws {
        let bench = ServiceBench()
        let (stops, stop) = AsyncStream<Void>.makeStream()
        bench.service.instanceQueue.fill(bench.service.instanceQueue.reserve(Fixture.uuid)) { for await _ in stops { break } }
        bench.bench.journal.put(Self.record(Self.uuid))
        try await bench.running { (service: SwapService) async throws in
            _ = try await service.recover()
            let reply = try await bench.nextReply()
            #expect(reply.id.text == "refused" && reply.outcome.failure?.code == .invalidArgument)
            stop.yield()
        }
    }
}
