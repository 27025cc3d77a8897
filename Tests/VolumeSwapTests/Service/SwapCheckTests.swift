import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("check_swap", .timeLimit(.minutes(5)))
struct SwapCheckTests {
    /// Checks a swap, and that nothing was changed for it.
    static func check(
        _ bench: Bench, _ arguments: JSONObject = [:], environment: SwapEnvironment? = nil
    ) async throws -> SwapCheck {
        let service = SwapService(environment: environment ?? bench.environment) { _, _, _ in .delivered }
        let check = await service.check(Fixture.arguments(arguments))
        #expect(bench.hypervisor.log.isEmpty)
        #expect(bench.connector.log.isEmpty)
        #expect(bench.observer.log.isEmpty)
        #expect(bench.journal.phases.isEmpty)
        #expect(try await bench.journal.records(SwapQuery()).isEmpty)
        #expect(service.queued == 0)
        if environment == nil {
            let new = VolumeIdentity(ids: ["new-volume"]).union(VolumeIdentity(text: .file(Fixture.newPath)))
            #expect(service.environment.reservations.holder(of: new, otherThan: nil) == nil)
            #expect(service.environment.domainLocks.holder(of: Fixture.uuid) == nil)
        }
        return check
    }

    // MARK: What a swap would do

    @Test("An acceptable swap has a strategy, both sizes, and no estimate without a limit")
    func acceptable() async throws {
        let check = try await Self.check(Bench())
        #expect(check.isAcceptable && check.strategy == .copy && check.disk == "vdb")
        #expect(check.oldBytes == 64 * Fixture.mebibyte && check.newBytes == 64 * Fixture.mebibyte)
        #expect(!check.willGrow && !check.isAlreadyMoved && !check.isAdoptable)
        #expect(check.estimate == nil && check.warnings == [])
    }

    @Test("A transient domain's strategy is rebase")
    func strategy() async throws {
        let bench = Bench()
        bench.hypervisor.change { ($0.status.isPersistent, $0.storedSource) = (false, nil) }
        #expect(try await Self.check(bench).strategy == .rebase)
    }

    @Test("The estimate follows the limit: the request's, else the setting")
    func estimate() async throws {
        let bench = Bench()
        #expect(try await Self.check(bench, ["options": ["bandwidth_mib_s": 16]]).estimate == 4)
        let environment = bench.environment
        var settings = environment.settings
        settings.defaults.bandwidthMiBs = 32
        environment.change(settings)
        #expect(try await Self.check(bench, environment: environment).estimate == 2)
        #expect(try await Self.check(bench, ["options": ["bandwidth_mib_s": 0]], environment: environment).estimate == nil)
    }

    @Test("The guest's disk grows only onto a larger volume, and if asked to", arguments: [0, 1])
    func growth(gib: Int64) async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 1 << 30)
        let check = try await Self.check(bench, ["resize_to": .integer(gib)])
        #expect(check.isAcceptable && check.newBytes == 1 << 30)
        #expect(check.willGrow == (gib == 1))
    }

    @Test("A disk on the new volume has already moved")
    func alreadyMoved() async throws {
        let bench = Bench()
        bench.hypervisor.change { ($0.liveSource, $0.storedSource) = (Fixture.newPath, Fixture.newPath) }
        let check = try await Self.check(bench)
        #expect(check.isAcceptable && check.isAlreadyMoved && check.strategy == nil && check.estimate == 0)
    }

    @Test("A copy onto the new volume that runs can be adopted, and only its rest is to be copied")
    func adoptable() async throws {
        let bench = Bench()
        bench.hypervisor.startJob(to: Fixture.newPath, cursor: 48 * Fixture.mebibyte)
        let check = try await Self.check(bench, ["options": ["bandwidth_mib_s": 16]])
        #expect(check.isAcceptable && check.isAdoptable && check.estimate == 1)
        #expect(bench.hypervisor.state.withLock { $0.job } != nil)
    }

    @Test("A copy onto another volume, which a swap would end, is left running")
    func staleCopy() async throws {
        let bench = Bench()
        bench.hypervisor.startJob(to: "/volumes/stale")
        let check = try await Self.check(bench)
        #expect(check.isAcceptable && !check.isAdoptable)
        #expect(bench.hypervisor.state.withLock { $0.job } != nil)
    }

    @Test("A preflight's warnings are the check's")
    func warnings() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.isDiskStored = false }
        #expect(try await Self.check(bench).warnings.first?.contains("only in the running domain") == true)
    }

    // MARK: Refusals

    @Test("Whatever a preflight refuses is not acceptable, for the same reason", arguments: SwapPreflightTests.refusals)
    func refused(refusal: SwapPreflightTests.Refusal) async throws {
        let bench = Bench()
        refusal.script(bench.hypervisor)
        let check = try await Self.check(bench, refusal.arguments)
        #expect(!check.isAcceptable)
        #expect(check.failure?.code == refusal.code)
        #expect(check.failure?.inUse == refusal.inUse)
        #expect(check.failure?.leftBehind == [])
        #expect(check.strategy == nil && check.estimate == nil)
    }

    @Test("A volume that is too small is refused with both sizes")
    func sizes() async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 1 << 20)
        let check = try await Self.check(bench)
        #expect(check.failure?.code == .newVolumeTooSmall)
        #expect(check.oldBytes == 64 << 20 && check.newBytes == 1 << 20)
    }

    @Test(
        "Arguments that cannot be read are not acceptable, whatever is wrong with them",
        arguments: [
            ["instance": nil], ["instance": 7], ["mountpoint": nil], ["mountpoint": "../x"], ["old_connection_info": nil],
            ["new_connection_info": "x"], ["resize_to": "big"], ["resize_to": -1], ["options": ["speed": 1]], ["stray": 1],
            ["request_token": "mine"],
        ] as [JSONObject])
    func malformed(arguments: JSONObject) async throws {
        let check = try await Self.check(Bench(), arguments)
        #expect(check.failure?.kind == .invalidInput)
        #expect(check.failure?.code == .invalidArgument)
        #expect((check.disk == nil) == arguments.keys.contains("mountpoint"))
    }

    @Test("A token is accepted, and leaves no trace")
    func token() async throws {
        let token = "0B6F2D57-6F0F-4F7D-8A3E-0D5C9F1F1A01"
        #expect(try await Self.check(Bench(), ["request_token": .string(token)]).isAcceptable)
    }

    // MARK: The connector

    @Test("No connector is called: a volume that it has to attach is acceptable as far as can be seen")
    func connector() async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        for arguments in [
            ["new_connection_info": ReleaseTests.vendor],
            ["new_connection_info": ReleaseTests.vendor, "options": ["strategy": "copy"], "resize_to": 1],
            ["new_connection_info": ReleaseTests.chap],
        ] as [JSONObject] {
            let check = try await Self.check(bench, arguments)
            #expect(check.isAcceptable && check.newBytes == nil && check.oldBytes == 64 << 20 && check.strategy == .copy)
            #expect(check.willGrow == (arguments["resize_to"] != nil))
            #expect(check.warnings.first?.contains("the connector has to attach it first") == true)
        }
    }

    @Test("An encrypted volume that the connector has to attach needs its passphrase", arguments: [true, false])
    func encryptedConnector(hasSecret: Bool) async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        if hasSecret {
            bench.hypervisor.change { $0.secrets["volume:new-volume"] = "11111111-1111-4111-8111-111111111111" }
        }
        let new: JSONValue = ["driver_volume_type": "vendor", "serial": "new-volume", "data": ["encrypted": true]]
        let check = try await Self.check(bench, ["new_connection_info": new, "resize_to": 1])
        #expect(check.failure?.code == (hasSecret ? nil : .secretMissing))
    }

    @Test("What is wrong besides the volume that the connector has to attach is seen")
    func connectorRefusals() async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        let arguments: JSONObject = ["new_connection_info": ReleaseTests.vendor]
        let stranger: JSONObject = [
            "new_connection_info": ReleaseTests.vendor, "old_connection_info": Fixture.connection("/volumes/other"),
        ]
        #expect(try await Self.check(bench, stranger).failure?.code == .oldVolumeMismatch)
        bench.hypervisor.addDomain("vm-2", type: "block", "<source dev='/dev/dm-9'/><serial>NEW-volume</serial>")
        #expect(try await Self.check(bench, arguments).failure?.code == .newVolumeInUse)
        bench.hypervisor.change { ($0.others, $0.job) = ([], BlockJobInfo(type: "pull", cursor: 0, end: 1)) }
        #expect(try await Self.check(bench, arguments).failure?.code == .foreignJob)
    }

    @Test("A disk that has moved to a LUN of the connector's is recognised by the LUN's name")
    func movedByConnector() async throws {
        let bench = Bench(connector: FakeConnector(isConfigured: true))
        bench.hypervisor.change { $0.liveSource = "/dev/disk/by-path/ip-10.0.0.1:3260-iscsi-iqn.a:b-lun-1" }
        #expect(try await Self.check(bench, ["new_connection_info": ReleaseTests.chap]).isAlreadyMoved)
    }

    @Test("Without a connector, what only one could attach is refused as by a swap")
    func noConnector() async throws {
        let volume = try ConnectionInfo(json: ReleaseTests.vendor, argument: "new_connection_info")
        let failure = await #expect(throws: SwapFailure.self) { try await NoConnector().connect(volume) }
        #expect(NoConnector().refusal(of: volume) == failure)
        #expect(failure?.code == .notSupported)
    }

    @Test("No secret is made for a volume's password")
    func chap() async throws {
        let check = try await Self.check(Bench(), ["new_connection_info": ReleaseTests.chap])
        #expect(check.isAcceptable && check.newBytes == nil && check.warnings == [])
    }
}
