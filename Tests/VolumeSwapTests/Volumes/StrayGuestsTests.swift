import Foundation
import JSON
import Testing

@testable import VolumeSwap

@Suite("Guests on a volume without libvirt's knowledge")
struct StrayGuestsTests {
    /// A failed task whose guest may be on the new volume.
    static func record(_ inUse: VolumeInUse?) -> SwapRecord {
        var record = Fixture.record("task-1", ["new_volume_id": "v-new"])
        var failure = SwapFailure.rebaseFailed("libvirt has lost track of the pivot")
        failure.inUse = inUse
        failure.course = SwapCourse(instanceUUID: Fixture.uuid, strategy: .copy, copiedBytes: 1, totalBytes: 1)
        record.outcome = .failure(failure)
        return record
    }

    static func strays(_ inUse: VolumeInUse? = .new) -> StrayGuests {
        let strays = StrayGuests()
        strays.note(record(inUse), mountPointBase: "/mnt")
        return strays
    }

    static let place = VolumeIdentity(text: .file(Fixture.newPath))

    @Test("The volume is in use by place and id while QEMU is there", arguments: [place, VolumeIdentity(ids: ["V-NEW"])])
    func found(volume: VolumeIdentity) async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.hasPivotedUnnoticed = true }
        let strays = Self.strays()
        #expect(try await strays.use(of: volume, hypervisor)?.contains("task task-1") == true)
        #expect(try await strays.use(of: VolumeIdentity(text: .file("/volumes/third")), hypervisor) == nil)
        // The guest was restarted where libvirt says.
        hypervisor.change { $0.hasPivotedUnnoticed = false }
        #expect(try await strays.use(of: volume, hypervisor) == nil)
        hypervisor.change { $0.hasPivotedUnnoticed = true }
        #expect(try await strays.use(of: volume, hypervisor) == nil, "forgotten for good")
    }

    @Test("Without monitor access a running guest counts, a stopped one does not")
    func unasked() async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.hasPivotedUnnoticed = nil }
        let strays = Self.strays(.unknown)
        #expect(try await strays.use(of: Self.place, hypervisor) != nil)
        hypervisor.change { $0.status.isActive = false }
        #expect(try await strays.use(of: Self.place, hypervisor) == nil)
    }

    @Test(
        "A task whose guest is on the old volume is not remembered",
        arguments: [VolumeInUse.old, VolumeInUse.none, nil] as [VolumeInUse?])
    func settled(inUse: VolumeInUse?) async throws {
        let hypervisor = FakeHypervisor()
        hypervisor.change { $0.hasPivotedUnnoticed = true }
        #expect(try await Self.strays(inUse).use(of: Self.place, hypervisor) == nil)
    }

    @Test("A swap onto such a volume is refused, even after a restart")
    func refused() async throws {
        let bench = ServiceBench()
        bench.bench.hypervisor.change { $0.hasPivotedUnnoticed = true }
        var stray = Self.record(.new)
        stray.phase = .failed
        stray.finishedAt = .now
        stray.isReplied = true
        bench.bench.journal.put(stray)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 0)
            let request = try SwapRequest(args: Fixture.arguments(), defaults: SwapOptions())
            let check = InUseCheck(
                hypervisor: bench.bench.hypervisor, request: request, strays: service.environment.strays)
            let failure = await #expect(throws: SwapFailure.self) { try await check.check(Fixture.plan()) }
            #expect(failure?.code == .newVolumeInUse)
        }
    }
}
