import Foundation
import JSON
import Testing

@testable import VolumeSwap

@Suite("Guests on a volume that libvirt does not know of", .timeLimit(.minutes(10)))
struct StrayGuestsTests {
    /// A task that has left its guest on the new volume.
    static func record(isStranded: Bool? = true, disk: String = "vdc") -> SwapRecord {
        var record = Fixture.record("task-1", ["new_volume_id": "v-new"])
        var failure = SwapFailure.rebaseFailed("libvirt has lost track of the pivot")
        failure.inUse = .new
        failure.course = SwapCourse(
            instanceUUID: Fixture.uuid, strategy: .copy, copiedBytes: 1, totalBytes: 1, isStranded: isStranded)
        record.outcome = .failure(failure)
        record.disk = disk
        record.phase = .failed
        record.finishedAt = .now
        record.isReplied = true
        return record
    }

    static let place = VolumeIdentity(text: .file(Fixture.newPath))

    /// A service that has taken up a journal with this task.
    static func recovered(
        _ record: SwapRecord, unnoticed: Bool? = true, _ body: (SwapService, FakeHypervisor) async throws -> Void
    ) async throws {
        let bench = ServiceBench()
        bench.bench.hypervisor.change { $0.hasPivotedUnnoticed = unnoticed }
        bench.bench.journal.put(record)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 0)
            try await body(service, bench.bench.hypervisor)
        }
    }

    static func check(_ service: SwapService, _ hypervisor: FakeHypervisor) throws -> InUseCheck {
        let request = try SwapRequest(args: Fixture.arguments(), defaults: SwapOptions())
        return InUseCheck(hypervisor: hypervisor, request: request, strays: service.environment.strays)
    }

    @Test("Found by place and by id as long as QEMU is there", arguments: [place, VolumeIdentity(ids: ["V-NEW"])])
    func found(volume: VolumeIdentity) async throws {
        try await Self.recovered(Self.record()) { (service: SwapService, hypervisor: FakeHypervisor) async throws in
            let strays = service.environment.strays
            #expect(try await strays.user(of: volume, hypervisor)?.description.contains("task task-1") == true)
            #expect(try await strays.user(of: VolumeIdentity(text: .file("/volumes/third")), hypervisor) == nil)
            // It was stopped, and started again where libvirt says.
            hypervisor.change { $0.hasPivotedUnnoticed = false }
            #expect(try await strays.user(of: volume, hypervisor) == nil)
            hypervisor.change { $0.hasPivotedUnnoticed = true }
            #expect(try await strays.user(of: volume, hypervisor) == nil, "forgotten for good")
        }
    }

    @Test("A domain that does not run uses nothing, and a failure of any other kind leaves nothing")
    func settled() async throws {
        try await Self.recovered(Self.record()) { (service: SwapService, hypervisor: FakeHypervisor) async throws in
            hypervisor.change { $0.status.isActive = false }
            #expect(try await service.environment.strays.user(of: Self.place, hypervisor) == nil)
        }
        try await Self.recovered(Self.record(isStranded: nil)) {
            (service: SwapService, hypervisor: FakeHypervisor) async throws in
            #expect(try await service.environment.strays.user(of: Self.place, hypervisor) == nil)
        }
    }

    @Test("Another disk's swap onto the volume is refused, over a restart too")
    func refused() async throws {
        try await Self.recovered(Self.record()) { (service: SwapService, hypervisor: FakeHypervisor) async throws in
            let check = try Self.check(service, hypervisor)
            let failure = await #expect(throws: SwapFailure.self) { try await check.check(Fixture.plan()) }
            #expect(failure?.code == .newVolumeInUse)
        }
    }

    @Test("The disk's own swap is not refused for itself: what QEMU runs it on is found by the preflight")
    func own() async throws {
        try await Self.recovered(Self.record(disk: "vdb")) {
            (service: SwapService, hypervisor: FakeHypervisor) async throws in
            #expect(try await Self.check(service, hypervisor).check(Fixture.plan()) == [])
        }
        let bench = ServiceBench()
        bench.bench.hypervisor.change { $0.hasPivotedUnnoticed = true }
        bench.bench.journal.put(Self.record(disk: "vdb"))
        try await bench.running { (service: SwapService) async throws in
            _ = try await service.recover()
            #expect(await bench.submit(Fixture.record("task-2")) == "accepted")
            guard case .failure(let failure) = try await bench.nextReply().outcome else {
                return #expect(Bool(false), "moved a disk that QEMU runs elsewhere")
            }
            #expect(failure.inUse == .unknown, "the new volume may not be deleted")
            #expect(failure.course?.isStranded == nil, "it was stranded by another task")
            // What is known of the disk's earlier swap stays known.
            let named = VolumeIdentity(ids: ["v-new"])
            #expect(try await service.environment.strays.user(of: named, bench.bench.hypervisor) != nil)
        }
    }

    @Test("A connector is not told to disconnect the volume", arguments: ["vdc", "vdb"])
    func release(disk: String) async throws {
        let connector = FakeConnector()
        let strays = StrayGuests()
        let connection = try VolumeTargetTests.connection("fibre_channel", ["volume_id": "v-new"])
        strays.note(.init(task: TaskID("task-1"), domain: Fixture.uuid, disk: disk, volume: VolumeIdentity(ids: ["v-new"])))
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.hasPivotedUnnoticed = true }
        let remains = await VolumeRelease(hypervisor: hypervisor, connector: connector, strays: strays).release(
            connection, nil, isConnected: true, madeSecret: nil, except: .init(domain: Fixture.uuid, disk: "vdb"))
        #expect(remains.first?.contains("stays connected") == true)
        #expect(connector.log.isEmpty)
    }
}
