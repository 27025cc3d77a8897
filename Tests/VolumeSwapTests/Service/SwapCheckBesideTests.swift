import JSON
import Testing

@testable import VolumeSwap

@Suite("check_swap beside other swaps and hangs", .timeLimit(.minutes(5)))
struct SwapCheckBesideTests {
    static let other = "/volumes/other"

    /// Arguments that move the same disk to another volume.
    static let elsewhere: JSONObject = [
        "new_connection_info": Fixture.connection(other, serial: "other-volume"), "new_volume_id": "other-volume",
    ]

    @Test("A check does not wait for a running swap of the same disk, and leaves it alone")
    func beside() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        let (hypervisor, journal) = (bench.bench.hypervisor, bench.bench.journal)
        hypervisor.set(Self.other)
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            while try await service.status(.task(TaskID("task-1"))).phase != .copying { await Task.yield() }
            let before = (hypervisor.log, journal.phases)
            let same = await service.check(Fixture.arguments())
            #expect(same.isAcceptable && same.isAdoptable)
            #expect(same.warnings.last?.hasPrefix("a swap of this disk is under way (task task-1)") == true)
            let moved = await service.check(Fixture.arguments(Self.elsewhere))
            #expect(moved.isAcceptable && !moved.isAdoptable && moved.warnings.count == 1)
            #expect((hypervisor.log, journal.phases) == before)
            #expect(service.running == 1 && service.queued == 0)

            _ = await bench.submit(Fixture.record("task-2", Self.elsewhere))
            #expect(await service.check(Fixture.arguments()).warnings.last?.contains("task-1, and 1 more") == true)
            _ = try await service.abort(.task(TaskID("task-2")))
            _ = try await bench.nextReply()

            hypervisor.post(.ready)
            #expect(try await bench.nextReply().outcome.result != nil)
            let after = await service.check(Fixture.arguments())
            #expect(after.isAlreadyMoved && after.warnings == [])
        }
        #expect(hypervisor.count("copy") == 1)
    }

    @Test("A swap that is held is only in the way of its own disk")
    func besideHeld() async throws {
        let bench = ServiceBench()
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(HoldTests.record())
            try await HoldTests.untilHeld(service)
            #expect(await service.check(Fixture.arguments(Self.elsewhere)).warnings.last?.contains("task-1") == true)
            #expect(await service.check(Fixture.arguments(["mountpoint": "vdz"])).warnings == [])
        }
    }

    @Test("A check of an instance by name finds its running swap, too")
    func byName() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            while bench.bench.hypervisor.count("copy") == 0 { await Task.yield() }
            let check = await service.check(Fixture.arguments(["instance": ["name": .string(Fixture.domain.name)]]))
            #expect(check.warnings.last?.contains("task-1") == true)
        }
    }

    @Test("A volume that another swap has reserved is refused, naming its task")
    func reserved() async throws {
        let bench = Bench()
        let environment = bench.environment
        try environment.reservations.reserve(VolumeIdentity(ids: ["new-volume"]), for: TaskID("another"))
        let failure = try await SwapCheckTests.check(bench, environment: environment).failure
        #expect(failure?.code == .newVolumeInUse && failure?.inUse == .old)
        #expect(failure?.reason.contains("task another") == true)
        #expect(environment.reservations.holder(of: VolumeIdentity(ids: ["new-volume"]), otherThan: nil) == TaskID("another"))
    }

    @Test("A domain that gives no answer is a time-out at once, not repeated as in a swap")
    func busy() async throws {
        let bench = Bench()
        bench.hypervisor.fail(.capacity, ServiceHangTests.busy)
        let failure = try await SwapCheckTests.check(bench).failure
        #expect(failure?.kind == .volumeRebaseFailed && failure?.code == .timedOut && failure?.inUse == .old)
        #expect(failure?.reason.contains("cannot acquire state change lock") == true)
    }

    @Test("A call that hangs ends the check in time")
    func hung() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.hanging = .status }
        let failure = try await SwapCheckTests.check(bench, ["options": ["timeout_s": 0.05]]).failure
        #expect(failure?.code == .timedOut && failure?.inUse == nil)
        #expect(failure?.reason.contains("in time") == true)
    }
}
