import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Releasing volumes")
struct ReleaseTests {
    static let vendor: JSONValue = ["driver_volume_type": "vendor", "serial": "new-volume", "data": [:]]
    static let chap: JSONValue = [
        "driver_volume_type": "iscsi", "serial": "new-volume",
        "data": [
            "target_portal": "10.0.0.1:3260", "target_iqn": "iqn.a:b", "target_lun": 1, "auth_username": "u",
            "auth_password": "p",
        ],
    ]

    /// Its LUN.
    private static let network = NetworkLocation(
        transport: "iscsi", name: "iqn.a:b/1", hosts: [.init(name: "10.0.0.1", port: 3260)])

    @Test("A connected new volume stays connected after success")
    func success() async throws {
        let bench = Bench()
        #expect(try await bench.run(["new_connection_info": Self.vendor])?.result != nil)
        #expect(bench.connector.log == ["connect new-volume"])
    }

    @Test("A connected new volume is disconnected after a failure")
    func failure() async throws {
        let bench = Bench(FakeHypervisor { $0.post(.failed) })
        #expect(try await bench.run(["new_connection_info": Self.vendor])?.failure != nil)
        #expect(bench.connector.log == ["connect new-volume", "disconnect new-volume"])
        #expect(bench.connector.disconnectedPath == nil)
    }

    @Test("A disconnect names the path of an encrypted volume: the connector's link to it must go, too")
    func encrypted() throws {
        for isEncrypted in [true, false] {
            let json: JSONValue = [
                "driver_volume_type": "vendor", "serial": "new-volume", "data": ["encrypted": .bool(isEncrypted)],
            ]
            let connection = try ConnectionInfo(resuming: json, argument: "new_connection_info")
            #expect(connection.at("/dev/disk/by-id/os-brick+1").devicePath == (isEncrypted ? "/dev/disk/by-id/os-brick+1" : nil))
        }
    }

    @Test("A connected new volume is disconnected after a refusal, unless a domain uses it", arguments: [true, false])
    func refusal(inUse: Bool) async throws {
        let bench = Bench()
        if inUse { bench.hypervisor.addDomain(using: Fixture.newPath) } else { bench.hypervisor.set(Fixture.newPath, bytes: 1) }
        #expect(try await bench.run(["new_connection_info": Self.vendor])?.failure?.kind == .invalidVolume)
        #expect(bench.connector.log == (inUse ? ["connect new-volume"] : ["connect new-volume", "disconnect new-volume"]))
    }

    @Test(
        "A device that the host itself has mounted stays connected, whether it is refused for that or for its path",
        arguments: ["/dev/loop7", "/dev/sda"])
    func mountedByHost(path: String) async {
        let bench = Bench(connector: FakeConnector(path: path))
        bench.hypervisor.set(path, kind: .block)
        bench.hypervisor.change { $0.heldPaths = [path] }
        let failure = await SwapPreflightTests.failure(bench, ["new_connection_info": Self.vendor])
        #expect(failure?.code == (path == "/dev/sda" ? .pathNotAllowed : .newVolumeInUse))
        #expect(failure?.leftBehind == ["\(path) stays connected: the host itself uses it"])
        #expect(bench.connector.log == ["connect new-volume"])
    }

    @Test("An old volume that the host itself uses stays connected, with a warning", arguments: [true, false])
    func oldVolumeOfHost(isHeld: Bool) async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.oldPath, kind: .block)
        bench.hypervisor.change { state in
            state.diskAttributes = "type='block' device='disk'"
            state.heldPaths = isHeld ? [Fixture.oldPath] : []
        }
        let old = Fixture.connection(Fixture.oldPath, serial: "old-volume", type: "fibre_channel")
        let result = try #require(try await bench.run(["old_connection_info": old])?.result)
        let warnings: [JSONValue] = isHeld ? [.string("\(Fixture.oldPath) stays connected: the host itself uses it")] : []
        #expect(result["warnings"] == .array(warnings))
        #expect(bench.connector.log == (isHeld ? [] : ["disconnect old-volume"]))
    }

    static func release(_ bench: Bench, _ json: JSONValue, at location: VolumeLocation?) async throws -> [String] {
        let connection = try ConnectionInfo(resuming: json, argument: "new_connection_info")
        return await bench.environment.release.release(connection, location, isConnected: true, madeSecret: nil)
    }

    @Test("What stays connected is named with what the host has over it; so it does if the host's use cannot be determined")
    func useByHost() async throws {
        let bench = Bench()
        bench.hypervisor.set("/dev/loop7", kind: .block)
        bench.hypervisor.change { ($0.heldPaths, $0.holders) = (["/dev/loop7"], ["/dev/loop7": ["vg0-root", "md0"]]) }
        let used = "/dev/loop7 stays connected: the host itself uses it, through vg0-root, md0"
        #expect(try await Self.release(bench, Self.vendor, at: .block("/dev/loop7")) == [used])
        bench.hypervisor.fail(.hostUse, .init(error: HypervisorError(.other, "cannot open /dev/loop7: EACCES")))
        let unknown = try await Self.release(bench, Self.vendor, at: .block("/dev/loop7"))
        #expect(unknown.count == 1 && unknown.first?.contains("whether the host itself uses it: cannot open /dev/loop7") == true)
        #expect(bench.connector.log == [])
        bench.hypervisor.change { $0.heldPaths = [] }
        #expect(try await Self.release(bench, Self.vendor, at: .block("/dev/loop7")) == [])
        #expect(bench.connector.log == ["disconnect new-volume"])
    }

    @Test(
        "A LUN whose place is not known stays connected while the host itself uses it, by whatever portal",
        arguments: [nil, .other("volume new-volume")] as [VolumeLocation?])
    func placelessLUN(location: VolumeLocation?) async throws {
        let bench = Bench()
        let devices = (1...2).map { "/dev/disk/by-path/ip-10.0.0.2:3260-iscsi-iqn.A:b-lun-\($0)" }
        bench.hypervisor.change { ($0.hostDevices, $0.heldPaths) = (["iscsi": devices], [devices[0]]) }
        #expect(
            try await Self.release(bench, Self.chap, at: location)
                == ["volume new-volume stays connected: the host itself uses it"])
        bench.hypervisor.fail(.hostUse, .init(error: HypervisorError(.other, "EACCES")))
        #expect(try await Self.release(bench, Self.chap, at: location).count == 1)
        #expect(bench.connector.log == [])
        // Another LUN is no reason.
        bench.hypervisor.change { $0.heldPaths = [devices[1]] }
        #expect(try await Self.release(bench, Self.chap, at: location) == [])
        #expect(bench.connector.log == ["disconnect new-volume"])
    }

    @Test("A connect that failed is not undone at a LUN that the host itself has mounted", arguments: [true, false])
    func failedConnect(isHeld: Bool) async throws {
        let trouble = SwapFailure.invalidVolume("it was killed", .connectorFailed)
        let bench = Bench(connector: FakeConnector(isConfigured: true, trouble: trouble))
        let device = "/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-iqn.a:b-lun-1"
        bench.hypervisor.change { ($0.hostDevices, $0.heldPaths) = (["iscsi": [device]], isHeld ? [device] : []) }
        let failure = await SwapPreflightTests.failure(bench, ["new_connection_info": Self.chap])
        #expect(failure?.code == .connectorFailed)
        #expect(failure?.leftBehind == (isHeld ? ["volume new-volume stays connected: the host itself uses it"] : []))
        #expect(bench.connector.log == ["connect new-volume"] + (isHeld ? [] : ["disconnect new-volume"]))
    }

    @Test("A helper's path outside allowed_paths is refused and released")
    func forbidden() async throws {
        let bench = Bench(connector: FakeConnector(path: "/etc/shadow"))
        #expect(try await bench.run(["new_connection_info": Self.vendor])?.failure != nil)
        #expect(bench.connector.log == ["connect new-volume", "disconnect new-volume"])
    }

    @Test("The old volume is disconnected only after success", arguments: [true, false])
    func oldVolume(succeeds: Bool) async throws {
        let bench = Bench(FakeHypervisor { $0.post(succeeds ? .ready : .failed) })
        let old: JSONValue = ["driver_volume_type": "vendor", "serial": "old-volume", "data": [:]]
        let outcome = try await bench.run(["old_connection_info": old])
        #expect((outcome?.result != nil) == succeeds)
        #expect(bench.connector.log == (succeeds ? ["disconnect old-volume"] : []))
    }

    @Test(
        "An old volume with a path is disconnected, unless it is local or on a share",
        arguments: [("fibre_channel", true), ("iscsi", true), ("lvm", false), ("nfs", false)])
    func oldVolumeWithPath(type: String, isDisconnected: Bool) async throws {
        let bench = Bench()
        let old: JSONValue = [
            "driver_volume_type": .string(type), "serial": "old-volume", "data": ["device_path": .string(Fixture.oldPath)],
        ]
        let outcome = try await bench.run(["old_connection_info": old])
        #expect(outcome?.result != nil)
        #expect(bench.connector.log == (isDisconnected ? ["disconnect old-volume"] : []))
    }

    @Test("A CHAP secret is created, and removed after a failure")
    func secret() async throws {
        let bench = Bench()
        bench.hypervisor.fail(.copy, .init(error: HypervisorError(.other, "cannot connect")))
        let failure = try await bench.run(["new_connection_info": Self.chap])?.failure
        #expect(failure?.reason.contains("cannot connect") == true)
        #expect(bench.hypervisor.log == ["make secret", "copy", "remove secret"])
    }

    @Test("A CHAP secret that a domain uses is kept")
    func usedSecret() async throws {
        let bench = Bench()
        bench.hypervisor.addDomain(using: "/volumes/z")
        bench.hypervisor.change { $0.others[0].disks[0].secretUUIDs = [CHAPSecret.uuid(Self.network)] }
        bench.hypervisor.fail(.copy, .init(error: HypervisorError(.other, "cannot connect")))
        _ = try await bench.run(["new_connection_info": Self.chap])
        #expect(bench.hypervisor.count("remove secret") == 0)
        #expect(InstanceReference.isUUID(CHAPSecret.uuid(Self.network)))
    }

    /// libvirt's secret of the LUN in ``chap``, with the password of a guest that uses it.
    private static func makeSecret(_ bench: Bench) -> String {
        let uuid = CHAPSecret.uuid(Self.network)
        bench.hypervisor.change { state in
            state.secrets["iscsi:\(CHAPSecret.usage(Self.network))"] = uuid
            state.secretValues[uuid] = "good"
        }
        return uuid
    }

    private static let lun = "<source protocol='iscsi' name='iqn.a:b/1'><host name='10.0.0.1' port='3260'/></source>"

    @Test("A refused swap does not change the CHAP secret of the guest that uses the volume", arguments: [true, false])
    func refusedSwapKeepsPassword(isLive: Bool) async throws {
        let bench = Bench()
        let uuid = Self.makeSecret(bench)
        bench.hypervisor.addDomain(type: "network", Self.lun, isLive: isLive)
        let failure = try await bench.run(["new_connection_info": Self.chap])?.failure
        #expect(failure?.code == .newVolumeInUse)
        #expect(bench.hypervisor.state.withLock { $0.secretValues } == [uuid: "good"])
        #expect(bench.hypervisor.log == [])
    }

    @Test(
        "A disk that is on the volume already keeps its CHAP secret; one is made only if there is none", arguments: [true, false])
    func movedDiskKeepsPassword(isThere: Bool) async throws {
        let bench = Bench()
        if isThere { _ = Self.makeSecret(bench) }
        bench.hypervisor.change { state in
            state.diskAttributes = "type='network' device='disk'"
            state.place = "protocol='iscsi' name='iqn.a:b/1'"
            state.inSource = "<host name='10.0.0.1' port='3260'/>"
        }
        let request = try SwapRequest(args: Fixture.arguments(["new_connection_info": Self.chap]), defaults: SwapOptions())
        let input = try await SwapPreflight(environment: bench.environment, request: request, task: TaskID("task-1")).run()
        guard case .alreadyMoved = input else {
            Issue.record("\(input)")
            return
        }
        #expect(Array(bench.hypervisor.state.withLock { $0.secretValues }.values) == [isThere ? "good" : "p"])
    }

    @Test("Failures, printed plans and journaled plans contain no password")
    func noPasswords() async throws {
        let bench = Bench()
        bench.hypervisor.fail(.copy, .init(error: HypervisorError(.other, "cannot connect")))
        var info = Self.chap.objectValue ?? [:]
        var data = info["data"]?.objectValue ?? [:]
        data["auth_password"] = "hunter-two"
        info["data"] = .object(data)
        let failure = try await bench.run(["new_connection_info": .object(info)])?.failure
        #expect(failure?.reason.contains("hunter-two") == false)
        var dumped = ""
        dump(bench.journal.stored("task-1")?.plan, to: &dumped)
        #expect(!dumped.contains("hunter-two"))
    }
}
