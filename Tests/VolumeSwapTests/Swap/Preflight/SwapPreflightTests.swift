import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("SwapPreflight")
struct SwapPreflightTests {
    /// The result of a preflight with these arguments.
    static func run(
        _ bench: Bench, _ arguments: JSONObject = [:], task: TaskID? = nil, environment: SwapEnvironment? = nil
    ) async throws -> SwapInput {
        let request = try SwapRequest(args: Fixture.arguments(arguments), defaults: SwapOptions())
        let preflight = SwapPreflight(environment: environment ?? bench.environment, request: request, task: task)
        do {
            return try await preflight.run()
        } catch var failure as SwapFailure {
            failure.leftBehind += await preflight.release()
            throw failure
        }
    }

    static func failure(_ bench: Bench, _ arguments: JSONObject = [:]) async -> SwapFailure? {
        do {
            _ = try await run(bench, arguments)
            return nil
        } catch {
            return error as? SwapFailure
        }
    }

    static func plan(_ bench: Bench, _ arguments: JSONObject = [:]) async throws -> SwapPlan? {
        guard case .prepared(let plan) = try await run(bench, arguments) else { return nil }
        return plan
    }

    // MARK: The volume in use, in every refusal

    struct Refusal: Sendable, CustomTestStringConvertible {
        var name: String
        var code: ReasonCode
        var inUse: VolumeInUse?
        var arguments: JSONObject = [:]
        var script: @Sendable (FakeHypervisor) -> Void = { _ in }
        var testDescription: String { name }
    }

    static let refusals: [Refusal] = [
        Refusal(
            name: "no instance", code: .instanceNotFound, inUse: VolumeInUse.none, script: { $0.change { $0.isKnown = false } }),
        Refusal(
            name: "not running", code: .instanceNotRunning, inUse: VolumeInUse.none,
            script: { $0.change { $0.status.isActive = false } }),
        Refusal(name: "no disk", code: .diskNotFound, inUse: VolumeInUse.none, arguments: ["mountpoint": "vdz"]),
        Refusal(
            name: "a LUN passed through", code: .diskNotMovable, inUse: .old,
            script: { $0.change { $0.diskAttributes = "type='block' device='lun'" } }),
        Refusal(
            name: "the old volume under another id", code: .newVolumeInUse, inUse: .old,
            arguments: ["new_connection_info": Fixture.connection(Fixture.oldPath, serial: "new-volume")]),
        Refusal(
            name: "a pool's volume", code: .diskNotMovable,
            script: { $0.change { $0.diskAttributes = "type='volume' device='disk'" } }),
        Refusal(
            name: "an nvme source", code: .diskNotMovable,
            script: { $0.change { $0.diskAttributes = "type='nvme' device='disk'" } }),
        Refusal(
            name: "a vhostuser source", code: .diskNotMovable,
            script: { $0.change { $0.diskAttributes = "type='vhostuser' device='disk'" } }),
        Refusal(
            name: "a directory", code: .diskNotMovable,
            script: { $0.change { $0.diskAttributes = "type='dir' device='disk'" } }),
        Refusal(
            name: "a forbidden path", code: .pathNotAllowed, inUse: .old,
            arguments: ["new_connection_info": Fixture.connection("/dev/vda")],
            script: { $0.set("/dev/vda", kind: .block) }),
        Refusal(
            name: "a path that does not answer", code: .ioError, inUse: .old,
            script: { $0.change { $0.hungPaths = [Fixture.newPath] } }),
        Refusal(
            name: "a missing volume", code: .newVolumeMissing, inUse: .old,
            arguments: ["new_connection_info": Fixture.connection("/volumes/x")]),
        Refusal(
            name: "smaller", code: .newVolumeTooSmall, inUse: .old, script: { $0.set(Fixture.newPath, bytes: 1 << 20) }),
        Refusal(
            name: "another old volume", code: .oldVolumeMismatch, inUse: VolumeInUse.none,
            arguments: ["old_connection_info": Fixture.connection("/volumes/other"), "old_volume_id": "other"]),
        // The new volume's id is the disk's serial, so nothing may be deleted.
        Refusal(
            name: "another place of the old volume", code: .oldVolumeMismatch, inUse: .unknown,
            arguments: ["old_connection_info": Fixture.connection("/volumes/other")]),
        Refusal(
            name: "one volume by id", code: .invalidArgument, inUse: .old, arguments: ["new_volume_id": "OLD-volume"]),
        Refusal(
            name: "in use by a domain", code: .newVolumeInUse, inUse: .old, script: { $0.addDomain(using: Fixture.newPath) }),
        Refusal(
            name: "in use by the host", code: .newVolumeInUse, inUse: .old,
            script: { hypervisor in
                hypervisor.set(Fixture.newPath, kind: .block)
                hypervisor.change { $0.heldPaths = [Fixture.newPath] }
            }),
        Refusal(
            name: "more than one writer", code: .multiattach, inUse: .old,
            arguments: [
                "old_connection_info": [
                    "driver_volume_type": "local", "multiattach": true, "data": ["device_path": .string(Fixture.oldPath)],
                ]
            ], script: { $0.addDomain(using: Fixture.oldPath) }),
        Refusal(
            name: "a foreign job", code: .foreignJob, inUse: .old,
            script: { $0.change { $0.job = BlockJobInfo(type: "pull", cursor: 0, end: 1) } }),
        Refusal(
            name: "no secret", code: .secretMissing, inUse: .old,
            arguments: ["new_connection_info": Fixture.connection(Fixture.newPath, ["encrypted": true])]),
        Refusal(
            name: "synchronous writes that libvirt or QEMU cannot do", code: .notSupported, inUse: .old,
            arguments: ["options": ["synchronous_writes": true]],
            script: { $0.change { $0.obstacleToSynchronousWrites = "QEMU 10.1 can abort" } }),
        Refusal(
            name: "convergence always where QEMU can abort", code: .notSupported, inUse: .old,
            arguments: ["options": ["convergence": "always"]],
            script: { $0.change { $0.obstacleToSynchronousWrites = "QEMU 10.1 can abort" } }),
        Refusal(
            name: "on the new volume, read otherwise", code: .diskNotMovable, inUse: .new,
            script: { hypervisor in
                hypervisor.change { state in
                    state.liveSource = Fixture.newPath
                    state.format = "qcow2"
                }
            }),
        Refusal(
            name: "an unreadable domain", code: .hypervisorRefused, inUse: .old,
            script: { $0.fail(.domains, .init(error: HypervisorError(.other, "the configuration of vm-7 cannot be read"))) }),
    ]

    @Test("A refusal has its code and the volume that the disk was seen on", arguments: refusals)
    func refused(refusal: Refusal) async throws {
        let bench = Bench()
        refusal.script(bench.hypervisor)
        let failure = await Self.failure(bench, refusal.arguments)
        #expect(failure?.code == refusal.code, "\(failure?.description ?? "accepted")")
        #expect(failure?.inUse == refusal.inUse)
        #expect(bench.hypervisor.log.isEmpty)
        #expect(bench.connector.log.isEmpty)
    }

    @Test("What keeps a copy from beginning with synchronous writes keeps no other from beginning")
    func convergenceAuto() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.obstacleToSynchronousWrites = "QEMU 10.1 can abort" }
        #expect(try await Self.plan(bench, ["options": ["convergence": "auto"]])?.mayConverge == true)
    }

    @Test("A domain that cannot be read is named")
    func unreadable() async {
        let bench = Bench()
        bench.hypervisor.fail(.domains, .init(error: HypervisorError(.other, "the configuration of vm-7 cannot be read")))
        #expect(await Self.failure(bench)?.reason.contains("vm-7") == true)
    }

    // MARK: allowed_paths comes first

    @Test("A forbidden path is never opened, even through a link", arguments: ["/dev/vda", "/volumes/link"])
    func neverOpened(path: String) async {
        let bench = Bench()
        bench.hypervisor.set(path, kind: .block, canonical: "/dev/vda")
        bench.hypervisor.change { $0.touches = [] }
        let failure = await Self.failure(bench, ["new_connection_info": Fixture.connection(path)])
        #expect(failure?.kind == .invalidInput)
        #expect(failure?.code == .pathNotAllowed)
        #expect(!bench.hypervisor.touches.contains("open \(path)"))
    }

    @Test("A forbidden path is refused as such, whatever is wrong with it", arguments: ["hung", "broken", "missing"])
    func forbiddenFirst(state: String) async {
        let bench = Bench()
        bench.hypervisor.change { hypervisor in
            if state == "hung" { hypervisor.hungPaths = ["/srv/x"] }
            if state == "broken" { hypervisor.brokenPaths = ["/srv/x": "Too many levels of symbolic links"] }
        }
        let arguments: JSONObject = ["new_connection_info": Fixture.connection("/srv/x", ["encrypted": true])]
        #expect(await Self.failure(bench, arguments)?.code == .pathNotAllowed)
    }

    @Test(
        "A file's size counts in whole sectors, as QEMU counts the old one's",
        arguments: [(1000, 1024, 1024), (1024, 1024, 1024), (1024, 1025, 1536), (1024, 512, nil)] as [(Int64, Int64, Int64?)])
    func sectors(old: Int64, new: Int64, counted: Int64?) async throws {
        let bench = Bench()
        // What QEMU says of a file of this size.
        bench.hypervisor.change { $0.capacity = (old + 511) / 512 * 512 }
        bench.hypervisor.set(Fixture.newPath, bytes: new)
        guard let counted else {
            #expect(await Self.failure(bench)?.code == .newVolumeTooSmall)
            return
        }
        let plan = try await Self.plan(bench)
        #expect(plan?.newBytes == counted && plan?.usesSlice == (counted > 1024))
        bench.hypervisor.set(Fixture.newPath, bytes: old)
        #expect(try await Self.plan(bench)?.usesSlice == false, "equal sizes")
    }

    @Test(
        "A qcow2 image counts with the size in its header: it may be neither smaller nor larger than the old volume",
        arguments: [(32, .newVolumeTooSmall), (64, nil), (128, .notSupported)] as [(Int64, ReasonCode?)])
    func imageSize(mebibytes: Int64, code: ReasonCode?) async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 1 << 16)
        bench.hypervisor.change { $0.imageBytes = [Fixture.newPath: mebibytes * Fixture.mebibyte] }
        let new = Fixture.connection(Fixture.newPath, ["format": "qcow2"], serial: "new-volume")
        let failure = await Self.failure(bench, ["new_connection_info": new])
        #expect(failure?.code == code)
        guard let failure else {
            #expect(try await Self.plan(bench, ["new_connection_info": new])?.newBytes == 64 * Fixture.mebibyte)
            return
        }
        #expect(failure.kind == .invalidVolume && failure.inUse == .old)
        #expect(failure.reason.contains("\(mebibytes * Fixture.mebibyte) bytes"))
    }

    @Test("resize_to onto an encrypted volume of the network is refused, with the size that it must have")
    func growSealed() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.secrets["volume:new-volume"] = "11111111-1111-4111-8111-111111111111" }
        let data: JSONValue = ["host": "127.0.0.1", "port": 10809, "export": "vol", "encrypted": true]
        let new: JSONValue = ["driver_volume_type": "nbd", "serial": "new-volume", "data": data]
        let failure = await Self.failure(bench, ["new_connection_info": new, "resize_to": 1])
        #expect(failure?.kind == .invalidVolume && failure?.code == .notSupported)
        #expect(failure?.reason.contains("exactly the old volume's \(64 * Fixture.mebibyte) bytes") == true)
        #expect(try await Self.plan(bench, ["new_connection_info": new])?.isSealed == true)
    }

    // MARK: One volume, several names

    @Test("A disk on the new volume under another name has already moved")
    func alreadyThere() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.liveSource = Fixture.newPath }
        bench.hypervisor.set("/volumes/alias", canonical: Fixture.newPath)
        let input = try await Self.run(bench, ["new_connection_info": Fixture.connection("/volumes/alias", serial: "new-volume")])
        guard case .alreadyMoved(let plan) = input else {
            Issue.record("not moved already: \(input)")
            return
        }
        #expect(plan.destination.location == .file(Fixture.newPath))
        #expect(plan.oldLocation == .file(Fixture.oldPath))
    }

    @Test("The old volume that a disk has left is released according to old_connection_info")
    func oldPlace() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.liveSource = Fixture.newPath }
        guard case .alreadyMoved(let plan) = try await Self.run(bench) else {
            Issue.record("not moved already")
            return
        }
        #expect(plan.oldLocation == .file(Fixture.oldPath))
        #expect(plan.destination.location == .file(Fixture.newPath))
        let vendor: JSONValue = ["driver_volume_type": "vendor", "serial": "v-0", "data": [:]]
        let input = try await Self.run(bench, ["old_connection_info": vendor, "old_volume_id": "v-0"])
        guard case .alreadyMoved(let other) = input else {
            Issue.record("not moved already")
            return
        }
        #expect(other.oldLocation == .other("old volume v-0"))
    }

    @Test("A volume without a known place is released by its id, which the moved disk keeps as its serial")
    func releaseByID() async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        let old = try ConnectionInfo(
            json: ["driver_volume_type": "vendor", "serial": "old-volume", "data": [:]], argument: "old_connection_info")
        let release = VolumeRelease(hypervisor: bench.hypervisor, connector: bench.connector, strays: StrayGuests())
        let own = VolumeUses.Exemption(domain: Fixture.uuid, disk: "vdb")
        let kept = await release.release(old, .other("old volume old-volume"), isConnected: true, madeSecret: nil)
        #expect(kept.first?.contains("whose serial is its id") == true)
        #expect(bench.connector.log.isEmpty)
        #expect(await release.release(old, .other("old"), isConnected: true, madeSecret: nil, except: own) == [])
        #expect(bench.connector.log == ["disconnect old-volume"])
    }

    @Test("Hard links and bind mounts are one file")
    func sameInode() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.liveSource = Fixture.newPath }
        bench.hypervisor.set("/volumes/link")
        for path in ["/volumes/link", Fixture.newPath] {
            bench.hypervisor.describe(path) { $0.fileID = .init(device: 1, inode: 99) }
        }
        let link = Fixture.connection("/volumes/link", serial: "new-volume")
        guard case .alreadyMoved = try await Self.run(bench, ["new_connection_info": link]) else {
            Issue.record("two names of one file were taken for two volumes")
            return
        }
    }

    @Test("Explicit ids take precedence over those in connection_info")
    func explicitIDs() async throws {
        let bench = Bench()
        let new = Fixture.connection(Fixture.newPath, serial: "old-volume")
        #expect(try await Self.plan(bench, ["new_connection_info": new]) != nil)
        #expect(await Self.failure(bench, ["new_connection_info": new, "new_volume_id": nil])?.code == .invalidArgument)
    }

    // MARK: Reservations

    @Test("A new volume is refused to a second task until the first has released it")
    func reserved() async throws {
        let bench = Bench()
        let environment = bench.environment
        let alias = Fixture.connection("/volumes/alias", serial: "another")
        bench.hypervisor.set("/volumes/alias", canonical: Fixture.newPath)
        _ = try await Self.run(bench, task: TaskID("first"), environment: environment)
        for arguments in [[:], ["new_connection_info": alias, "new_volume_id": "another"]] as [JSONObject] {
            let failure = await #expect(throws: SwapFailure.self) {
                try await Self.run(bench, arguments, task: TaskID("second"), environment: environment)
            }
            #expect(failure?.code == .newVolumeInUse)
            #expect(failure?.reason.contains("first") == true)
        }
        environment.reservations.release(TaskID("first"))
        _ = try await Self.run(bench, task: TaskID("second"), environment: environment)
    }

    @Test("A failed preflight reserves nothing")
    func failedHoldsNothing() async throws {
        let bench = Bench()
        let environment = bench.environment
        bench.hypervisor.addDomain(using: Fixture.newPath)
        _ = try? await Self.run(bench, task: TaskID("first"), environment: environment)
        #expect(environment.reservations.holder(of: VolumeIdentity(ids: ["new-volume"]), otherThan: nil) == nil)
    }

    @Test("A volume that another task has connected is not disconnected")
    func reservedConnection() async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        let environment = bench.environment
        _ = try await Self.run(
            bench, ["new_connection_info": ReleaseTests.vendor], task: TaskID("first"), environment: environment)
        let other: JSONValue = ["driver_volume_type": "vendor", "serial": "x", "data": [:]]
        let failure = await #expect(throws: SwapFailure.self) {
            try await Self.run(
                bench, ["new_connection_info": other, "new_volume_id": "x"], task: TaskID("second"), environment: environment)
        }
        #expect(failure?.code == .newVolumeInUse)
        #expect(failure?.leftBehind.first?.contains("stays connected: task first uses it") == true)
        #expect(bench.connector.log == ["connect new-volume", "connect x"])
    }

    // MARK: Connecting and releasing

    @Test("A failed connect is followed by a disconnect")
    func failedConnect() async {
        let trouble = SwapFailure.invalidVolume("late", .connectorFailed)
        let bench = Bench(connector: FakeConnector(isConfigured: true, trouble: trouble))
        let failure = await Self.failure(bench, ["new_connection_info": ReleaseTests.vendor])
        #expect(failure?.code == .connectorFailed)
        #expect(failure?.leftBehind == [])
        #expect(bench.connector.log == ["connect new-volume", "disconnect new-volume"])
    }

    @Test("A volume whose use cannot be determined stays connected, and the failure says so")
    func blindRelease() async {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        bench.hypervisor.set(Fixture.newPath, bytes: 1)
        // The preflight's own check and the one before the connect succeed; those of the refusal and of the release do not.
        bench.hypervisor.change { $0.domainsFailFrom = 3 }
        let failure = await Self.failure(bench, ["new_connection_info": ReleaseTests.vendor])
        #expect(failure?.code == .newVolumeTooSmall)
        #expect(failure?.leftBehind.first?.contains("could not be determined") == true)
        #expect(failure?.leftBehind.last?.contains("stays connected") == true)
        #expect(bench.connector.log == ["connect new-volume"])
    }

    @Test("A refusal of a volume that another guest uses says so, whatever else is wrong with it")
    func refusedAndInUse() async {
        for change: JSONObject in [["resize_to": 0], ["options": ["strategy": "rebase", "granularity_kib": 64]]] {
            let bench = Bench()
            bench.hypervisor.addDomain(using: Fixture.newPath)
            bench.hypervisor.set(Fixture.newPath, bytes: 1)
            let failure = await Self.failure(bench, change)
            #expect(failure?.code == .newVolumeInUse && failure?.inUse == .old)
            #expect(failure?.reason.contains("is in use as disk") == true)
        }
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 1)
        #expect(await Self.failure(bench)?.code == .newVolumeTooSmall)
    }

    @Test("A volume that proves to be another guest's stays connected, and the failure says so")
    func connectedInUse() async {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        bench.hypervisor.addDomain(using: Fixture.newPath)
        let failure = await Self.failure(bench, ["new_connection_info": ReleaseTests.vendor])
        #expect(failure?.code == .newVolumeInUse)
        #expect(failure?.leftBehind.first?.contains("stays connected: it is in use as disk vdb of other") == true)
        #expect(bench.connector.log == ["connect new-volume"])
    }

    @Test("A volume whose id is the serial of another guest's disk is not even connected")
    func serialBeforeConnect() async {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        bench.hypervisor.addDomain("vm-2", type: "block", "<source dev='/dev/dm-9'/><serial>NEW-volume</serial>")
        let failure = await Self.failure(bench, ["new_connection_info": ReleaseTests.vendor])
        #expect(failure?.code == .newVolumeInUse)
        #expect(failure?.reason.contains("disk vdb of vm-2, whose serial is its id") == true)
        #expect(bench.connector.log.isEmpty)
    }

    @Test("A cancelled preflight releases on request, once")
    func cancelled() async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        bench.hypervisor.set(Fixture.newPath, bytes: 1)
        let environment = bench.environment
        let arguments = Fixture.arguments(["new_connection_info": ReleaseTests.vendor])
        let request = try SwapRequest(args: arguments, defaults: SwapOptions())
        let preflight = SwapPreflight(environment: environment, request: request, task: TaskID("t"))
        await withTaskGroup { group in
            group.addTask { _ = try? await preflight.run() }
            group.cancelAll()
        }
        #expect(bench.connector.log == ["connect new-volume"])
        #expect(await preflight.release() == [])
        #expect(bench.connector.log == ["connect new-volume", "disconnect new-volume"])
        #expect(await preflight.release() == [])
        #expect(bench.connector.log.count == 2)
        #expect(environment.reservations.holder(of: VolumeIdentity(ids: ["new-volume"]), otherThan: nil) == nil)
    }

    @Test(
        "What an interrupted preflight may have attached is released if the next one fails early", arguments: [true, false])
    func resumed(isResumed: Bool) async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        bench.hypervisor.change { $0.isKnown = false }
        let request = try SwapRequest(
            args: Fixture.arguments(["new_connection_info": ReleaseTests.vendor]), defaults: SwapOptions())
        let preflight = SwapPreflight(environment: bench.environment, request: request, isResumed: isResumed)
        await #expect(throws: SwapFailure.self) { try await preflight.run() }
        #expect(await preflight.release() == [])
        #expect(bench.connector.log == (isResumed ? ["disconnect new-volume"] : []))
    }

    // MARK: Shares

    static let share: JSONValue = [
        "driver_volume_type": "nfs", "serial": "new-volume",
        "data": ["export": "h:/e", "name": "v", "mount_point_base": "/volumes/mnt"],
    ]
    static let mountPoint = "/volumes/mnt/\(MD5.hexDigest("h:/e"))"

    @Test("The failure for an unmounted share says where it was expected")
    func unmounted() async {
        let failure = await Self.failure(Bench(), ["new_connection_info": Self.share])
        #expect(failure?.code == .newVolumeMissing)
        #expect(failure?.reason.contains("h:/e is not mounted") == true)
        #expect(failure?.reason.contains(Self.mountPoint) == true)
    }

    @Test("A connector, if configured, mounts the share", arguments: [true, false])
    func mountedByConnector(isMounted: Bool) async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        for (path, device) in [("/volumes/mnt", UInt64(1)), (Self.mountPoint, isMounted ? 2 : 1)] {
            bench.hypervisor.set(path, kind: .other)
            bench.hypervisor.describe(path) { $0.fileID = .init(device: device, inode: 1) }
        }
        let failure = await Self.failure(bench, ["new_connection_info": Self.share])
        #expect(failure?.code == (isMounted ? .newVolumeMissing : nil))
        #expect(bench.connector.log == (isMounted ? [] : ["connect new-volume"]))
    }

    // MARK: iSCSI

    @Test("A connector, if configured, attaches iSCSI volumes", arguments: [true, false])
    func iscsi(isConfigured: Bool) async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: isConfigured))
        let plan = try await Self.plan(bench, ["new_connection_info": ReleaseTests.chap])
        #expect(plan?.isNewConnected == isConfigured)
        #expect((plan?.destination.location.path != nil) == isConfigured)
        #expect(bench.connector.log == (isConfigured ? ["connect new-volume"] : []))
    }

    @Test(
        "A device_path at which the host has another LUN is refused, unless multipath may lead to targets that are not listed",
        arguments: [
            ("lun-1", [:], true), ("lun-2", [:], false), ("lun-0x0001000000000000", [:], true),
            ("lun-2", ["multipath_id": "3600"], true),
            ("lun-2", ["multipath_id": "3600", "target_iqns": ["iqn.a:b", "iqn.a:c"], "target_luns": [1, 2]], false),
            ("lun-2", ["target_iqns": ["iqn.a:c", "iqn.a:b"], "target_luns": [1, 2]], true),
        ] as [(String, JSONObject, Bool)])
    func staleDevicePath(lun: String, more: JSONObject, isAccepted: Bool) async throws {
        let bench = Bench()
        bench.hypervisor.set("/dev/loop4", kind: .block, device: 4)
        bench.hypervisor.describe("/dev/loop4") { $0.links = ["/dev/disk/by-path/ip-10.0.0.2:3260-iscsi-iqn.A:b-\(lun)"] }
        var data: JSONObject = ["target_portal": "10.0.0.1:3260", "target_iqn": "iqn.a:b", "target_lun": 1]
        for (key, value) in more { data[key] = value }
        let new = Fixture.connection("/dev/loop4", data, serial: "new-volume", type: "iscsi")
        let failure = await Self.failure(bench, ["new_connection_info": new])
        #expect((failure == nil) == isAccepted, "\(failure?.description ?? "accepted")")
        guard let failure else { return }
        #expect(failure.code == .newVolumeMissing && failure.inUse == .old)
        #expect(failure.reason.contains("/dev/loop4 is another volume on this host (iqn.a:b/2) than"))
    }

    @Test(
        "A multipath device may lead to targets that connection_info does not list, unless it lists several",
        arguments: [
            ([:], true), (["target_iqns": ["iqn.a:b", "iqn.a:c"], "target_luns": [1, 1]], false),
        ] as [(JSONObject, Bool)])
    func multipathDevicePath(more: JSONObject, isAccepted: Bool) async throws {
        let bench = Bench()
        bench.hypervisor.set("/dev/loop4", kind: .block, device: 4)
        bench.hypervisor.describe("/dev/loop4") { place in
            place.links = ["/dev/disk/by-path/ip-10.0.0.2:3260-iscsi-iqn.a:other-lun-1"]
            place.isMultipath = true
        }
        var data: JSONObject = ["target_portal": "10.0.0.1:3260", "target_iqn": "iqn.a:b", "target_lun": 1]
        for (key, value) in more { data[key] = value }
        let new = Fixture.connection("/dev/loop4", data, serial: "new-volume", type: "iscsi")
        let failure = await Self.failure(bench, ["new_connection_info": new])
        #expect(failure?.code == (isAccepted ? nil : .newVolumeMissing), "\(failure?.description ?? "accepted")")
    }

    // MARK: Encryption

    @Test("Plain data is not written by omission to a volume with a passphrase")
    func forgottenEncryption() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.secrets["volume:new-volume"] = "11111111-1111-4111-8111-111111111111" }
        let failure = await Self.failure(bench)
        #expect(failure?.kind == .invalidVolume)
        #expect(failure?.reason.contains("encrypted is absent") == true)
        let plain = Fixture.connection(Fixture.newPath, ["encrypted": false], serial: "new-volume")
        #expect(try await Self.plan(bench, ["new_connection_info": plain]) != nil)
    }

    // MARK: Adoption

    @Test("A copy in another format is not adopted", arguments: ["raw", "qcow2"])
    func adoption(format: String) async throws {
        let bench = Bench()
        bench.hypervisor.startJob(to: Fixture.newPath)
        bench.hypervisor.change { $0.mirrorFormat = format }
        let input = try await Self.run(bench)
        let isAdopted = if case .adopted = input { true } else { false }
        #expect(isAdopted == (format == "raw"))
    }

    @Test(
        "The window of an earlier attempt is dropped where only QEMU knows the volume's size: of a copy and of a moved disk",
        arguments: [nil, 64 * Fixture.mebibyte] as [Int64?])
    func earlierWindow(bytes: Int64?) async throws {
        let image = RunnerSuccessTests.image
        let bench = Bench()
        bench.hypervisor.startJob(to: image.path)
        bench.hypervisor.change { $0.slice = bytes }
        guard case .adopted(let plan) = try await Self.run(bench, ["new_connection_info": image.connection]) else {
            Issue.record("not adopted")
            return
        }
        #expect(plan.usesSlice == (bytes != nil))
        bench.hypervisor.finishPivot()
        if let bytes {
            bench.hypervisor.change { $0.inSource = "<slices><slice type='storage' offset='0' size='\(bytes)'/></slices>" }
        }
        guard case .alreadyMoved(let moved) = try await Self.run(bench, ["new_connection_info": image.connection]) else {
            Issue.record("not moved already")
            return
        }
        #expect(moved.usesSlice == (bytes != nil))
    }

    // MARK: Warnings

    @Test("A warning names the members that would change the disk and are not applied")
    func unapplied() async throws {
        let data: JSONObject = [
            "qos_specs": ["total_iops_sec": "10"], "access_mode": "ro", "discard": true, "cacheable": true,
            "logical_block_size": 4096,
        ]
        let new = Fixture.connection(Fixture.newPath, data, serial: "new-volume")
        let warning = try await Self.plan(Bench(), ["new_connection_info": new])?.warnings.first
        for key in data.keys { #expect(warning?.contains(key) == true) }
        let usual: JSONObject = ["qos_specs": nil, "access_mode": "rw", "discard": false, "cacheable": false]
        let plain = Fixture.connection(Fixture.newPath, usual, serial: "new-volume")
        #expect(try await Self.plan(Bench(), ["new_connection_info": plain])?.warnings == [])
    }

    @Test("Warnings name parts of the old source, bitmaps, a chain, and a disk that is not stored")
    func losses() async throws {
        let bench = Bench()
        bench.hypervisor.change { state in
            state.inSource = "<reservations managed='yes'/><seclabel model='dac' relabel='no'/>"
            state.besideSource = """
                <backingStore type='file'><format type='raw'/><source file='/volumes/base'/><backingStore/></backingStore>
                """
            state.saved.hasCheckpoints = true
            state.saved.hasSnapshots = true
        }
        let warnings = try await Self.plan(bench)?.warnings.joined(separator: "\n") ?? ""
        for part in ["reservations, seclabel", "(1 more) is flattened", "snapshots of", "keeps no bitmaps"] {
            #expect(warnings.contains(part), "\(part)")
        }
        bench.hypervisor.change { $0.isDiskStored = false }
        #expect(try await Self.plan(bench)?.warnings.last?.contains("only in the running domain") == true)
    }

    @Test(
        "Snapshots inside a qcow2 volume are not copied, and a warning says so",
        arguments: [("qcow2", true, true), ("qcow2", false, false), ("raw", true, false)])
    func innerSnapshots(format: String, hasSnapshots: Bool, isWarned: Bool) async throws {
        let bench = Bench()
        bench.hypervisor.change { state in
            state.format = format
            state.saved.hasSnapshots = hasSnapshots
        }
        let warnings = try #require(try await Self.plan(bench)).warnings
        #expect(warnings.count == (isWarned ? 1 : 0), "\(warnings)")
        #expect(warnings.allSatisfy { $0.contains("those inside the old volume are not copied; keep it") })
    }

    @Test("The disk's own backing file counts as in use")
    func ownBacking() async {
        let bench = Bench()
        bench.hypervisor.change { state in
            state.besideSource =
                "<backingStore type='file'><format type='raw'/><source file='\(Fixture.newPath)'/></backingStore>"
        }
        #expect(await Self.failure(bench)?.code == .newVolumeInUse)
    }
}
