import Foundation
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Regressions", .timeLimit(.minutes(10)))
struct RegressionTests {
    @Test("BUG 1a: a copy that dies before the first inspection keeps its cause")
    func causeOfEarlyDeath() async throws {
        let bench = Bench(
            FakeHypervisor { hypervisor in
                hypervisor.post(.jobError(disk: "vdb", message: "No space left on device"))
                hypervisor.post(.failed)
            })
        let failure = try await bench.run()?.failure
        #expect(failure?.reason.contains("No space left on device") == true)
    }

    @Test("BUG 1b: different sizes before the first inspection still get a second attempt")
    func earlySizesDiffer() async throws {
        let bench = Bench(
            FakeHypervisor { hypervisor in
                hypervisor.change { $0.mirror?.path = RunnerSuccessTests.image.path }
                guard hypervisor.count("copy slice") == 0 else { return hypervisor.post(.ready) }
                hypervisor.post(.jobError(disk: "vdb", message: "Source and target image have different sizes"))
                hypervisor.post(.failed)
            })
        #expect(try await bench.run(["new_connection_info": RunnerSuccessTests.image.connection])?.result != nil)
    }

    @Test("recovery never writes the old definition under a VM on the new volume")
    func foreignJobAfterPivot() async throws {
        let bench = ServiceBench()
        ServiceRecoveryTests.undefined(bench.bench.hypervisor)
        bench.bench.hypervisor.change { state in
            state.liveSource = Fixture.newPath
            state.job = BlockJobInfo(type: "backup", cursor: 0, end: 1)
        }
        bench.bench.journal.put(ServiceRecoveryTests.record(.storing, strategy: .rebase))
        try await bench.running { (service: SwapService) async throws in
            try await service.recover()
            _ = try await bench.nextReply()
        }
        #expect(bench.bench.hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
    }

    @Test("A disk that has moved already, and has more than resize_to, is a success: its device may be larger")
    func alreadyMovedAndLarger() async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 2 << 30)
        bench.hypervisor.change { state in
            state.liveSource = Fixture.newPath
            state.capacity = 2 << 30
        }
        let result = try #require(try await bench.run(["resize_to": 1])?.result)
        #expect(result["capacity_bytes"] == .integer(2 << 30))
        #expect(result["warnings"]?.arrayValue?.first?.stringValue?.hasPrefix("resize_to: ") == true)
        #expect(bench.hypervisor.count("grow") == 0)
    }

    @Test("A repeat grows a moved disk whose window was dropped, but whose guest was not told")
    func alreadyMovedWithWindow() async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 1 << 30)
        bench.hypervisor.change { state in
            state.liveSource = Fixture.newPath
            state.inSource = "<slices><slice type='storage' offset='0' size='67108864'/></slices>"
            state.capacity = 1 << 30
        }
        #expect(try await bench.run(["resize_to": 1])?.result?["resized"] == true)
        #expect(bench.hypervisor.count("grow") == 1)
    }

    @Test(
        "a mount_point_base beside data is checked like the strings in it",
        arguments: ["/mnt\u{0}x", "/mnt\n", "/" + String(repeating: "m", count: 1 << 20)])
    func mountPointBase(base: String) {
        let json: JSONValue = [
            "driver_volume_type": "nfs", "mount_point_base": .string(base), "data": ["export": "h:/e", "name": "v"],
        ]
        let failure = Fixture.failure {
            _ = try ConnectionInfo(json: json, argument: "a").target(mountPointBase: "/mnt", argument: "a")
        }
        #expect(failure?.kind == .invalidInput)
    }

    @Test("a portal without a host is refused", arguments: [":3260", "[]:3260"])
    func portal(portal: String) {
        let data: JSONObject = ["target_portal": .string(portal), "target_iqn": "iqn.a:b", "target_lun": 1]
        #expect(Fixture.failure { _ = try VolumeTargetTests.target("iscsi", data) }?.kind == .invalidInput)
    }

    @Test(
        "an instance name with a NUL or of a mebibyte is refused",
        arguments: ["vm\u{0}x", String(repeating: "v", count: 1 << 20)])
    func instanceName(name: String) {
        #expect(Fixture.failure { _ = try InstanceReference(json: ["name": .string(name)]) }?.kind == .invalidInput)
    }

    @Test("paths that differ only in bytes are two places")
    func canonicalEquivalence() async throws {
        let hypervisor = FakeHypervisor()
        let comparison = LocationComparison(hypervisor: hypervisor)
        let same = try await comparison.isSame(.file("/volumes/caf\u{e9}"), .file("/volumes/cafe\u{301}"))
        #expect(!same)
    }

    @Test("a file name that begins with a slash and a combining mark", arguments: ["../\u{301}x", "/\u{301}x"])
    func combiningSlash(name: String) {
        let failure = Fixture.failure { _ = try VolumeTargetTests.target("nfs", ["export": "h:/e", "name": .string(name)]) }
        #expect(failure?.kind == .invalidInput)
    }

    @Test("a serial beside data is checked like the strings in it")
    func serial() {
        let json: JSONValue = ["driver_volume_type": "rbd", "serial": "a\u{0}b", "data": ["name": "p/i"]]
        #expect(Fixture.failure { _ = try ConnectionInfo(json: json, argument: "a") }?.kind == .invalidInput)
    }

    @Test("a failed store after a failed resize is reported too")
    func bothFailures() {
        var machine = SwapMachine.storing(Fixture.plan(), .rebaseFailed("no resize"))
        let end = machine.handle(.failed(.rebaseFailed("not stored")), pivotTries: 1)
        #expect(end.failure?.reason.contains("not stored") == true)
    }
}
