import JSON
import Testing

@testable import VolumeSwap

@Suite("What a new volume holds")
struct ContentCheckTests {
    @Test("Plain data is not written over a LUKS header, unless it is a copy of the guest's own")
    func header() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.luksUUIDs[Fixture.newPath] = "u-1" }
        let plain = Fixture.connection(Fixture.newPath, ["encrypted": false], serial: "new-volume")
        #expect(await SwapPreflightTests.failure(bench, ["new_connection_info": plain])?.reason.contains("LUKS header") == true)
        bench.hypervisor.change { $0.luksUUIDs[Fixture.oldPath] = "u-2" }
        #expect(await SwapPreflightTests.failure(bench) != nil)
        bench.hypervisor.change { $0.luksUUIDs[Fixture.oldPath] = "u-1" }
        #expect(try await SwapPreflightTests.plan(bench) != nil)
        bench.hypervisor.change { $0.luksUUIDs = [Fixture.oldPath: "", Fixture.newPath: ""] }
        #expect(await SwapPreflightTests.failure(bench) != nil)
    }

    @Test(
        "Where the old volume's first bytes are not the guest's, only an explicit false writes over a LUKS header",
        arguments: ["qcow2", "encrypted"])
    func headerWithoutComparison(kind: String) async throws {
        let bench = Bench()
        bench.hypervisor.change { state in
            state.luksUUIDs = [Fixture.oldPath: "u-1", Fixture.newPath: "u-1"]
            if kind == "qcow2" { state.format = "qcow2" } else { state.inSource = "<encryption format='luks'/>" }
        }
        #expect(await SwapPreflightTests.failure(bench)?.reason.contains("say false if it is the guest's own") == true)
        let plain = Fixture.connection(Fixture.newPath, ["encrypted": false], serial: "new-volume")
        #expect(try await SwapPreflightTests.plan(bench, ["new_connection_info": plain]) != nil)
    }

    @Test("What pivotd may not read is a warning, as QEMU may be allowed to; what cannot be read at all is refused")
    func unreadableHeader() async throws {
        let bench = Bench()
        let denied = HypervisorError(.denied, "pivotd may not read it")
        bench.hypervisor.change { $0.headerErrors[Fixture.newPath] = denied }
        let warnings = try await SwapPreflightTests.plan(bench)?.warnings
        #expect(warnings == ["pivotd may not read it: the new volume was not checked for a LUKS header"])
        bench.hypervisor.change { $0.headerErrors[Fixture.newPath] = HypervisorError(.other, "Input/output error") }
        let failure = await SwapPreflightTests.failure(bench)
        #expect(failure?.kind == .invalidVolume && failure?.code == .ioError && failure?.inUse == .old)
        bench.hypervisor.change { state in
            state.headerErrors = [Fixture.oldPath: denied]
            state.luksUUIDs[Fixture.newPath] = "u-1"
        }
        #expect(await SwapPreflightTests.failure(bench)?.reason.contains("say false") == true)
    }

    @Test("A new qcow2 image must have nothing below it; one whose header cannot be read is a warning")
    func backing() async throws {
        let bench = Bench()
        bench.hypervisor.change { state in
            state.imageBytes = [Fixture.newPath: 64 * Fixture.mebibyte]
            state.backingFiles = [Fixture.newPath: .found(BackingFile(name: "/volumes/base"))]
        }
        let new = Fixture.connection(Fixture.newPath, ["format": "qcow2"], serial: "new-volume")
        let failure = await SwapPreflightTests.failure(bench, ["new_connection_info": new])
        #expect(failure?.kind == .invalidVolume && failure?.inUse == .old)
        #expect(failure?.reason.contains("a qcow2 image over /volumes/base") == true)
        bench.hypervisor.change { $0.backingFiles = [Fixture.newPath: .failed("cannot read it")] }
        let warnings = try await SwapPreflightTests.plan(bench, ["new_connection_info": new])?.warnings
        #expect(warnings == ["cannot read it: the new volume was not checked for a backing file"])
        #expect(try await SwapPreflightTests.plan(bench)?.warnings == [], "a raw volume's bytes are its guest's")
    }
}
