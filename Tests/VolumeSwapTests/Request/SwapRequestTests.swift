import Budgets
import JSON
import Testing

@testable import VolumeSwap

@Suite("Arguments of swap_volume")
struct SwapRequestTests {
    @Test("After a restart the size asked for is the request's: a plan's lacks a LUKS header")
    func resumedSize() throws {
        var (plan, record) = (Fixture.plan(), Fixture.record("task-1", ["resize_to": 20]))
        plan.resizeToBytes = 20 << 30 - 2 << 20
        #expect(try SwapRequest(resuming: record.args, plan).resizeToGiB == 20)
        record.args["resize_to"] = nil
        #expect(try SwapRequest(resuming: record.args, plan).resizeToGiB == 19)
    }

    static func request(_ more: JSONObject = [:], without: String? = nil) throws -> SwapRequest {
        var arguments = Fixture.arguments(more)
        if let without { arguments[without] = nil }
        return try SwapRequest(args: arguments, defaults: SwapOptions())
    }

    @Test("The minimal arguments")
    func least() throws {
        let request = try Self.request()
        #expect(request.instance.uuid == Fixture.uuid)
        #expect(request.disk == "vdb")
        #expect(request.resizeToBytes == nil)
        #expect(request.options == SwapOptions())
        #expect(request.oldVolumeID == "old-volume")
    }

    @Test("A missing argument is named", arguments: ["instance", "old_connection_info", "new_connection_info", "mountpoint"])
    func missing(name: String) {
        let failure = Fixture.failure { _ = try Self.request(without: name) }
        #expect(failure?.kind == .invalidInput)
        #expect(failure?.reason.hasPrefix("\(name): missing") == true)
    }

    @Test("An unknown argument is refused, and its name truncated")
    func unknown() {
        let failure = Fixture.failure { _ = try Self.request([String(repeating: "z", count: 1 << 20): 1]) }
        #expect(failure?.kind == .invalidInput)
        #expect((failure?.reason.utf8.count ?? .max) < 200)
    }

    @Test(
        "Disk names",
        arguments: [("/dev/vdb", "vdb"), ("vda", "vda"), ("sdaa", "sdaa"), ("/dev/hdc", "hdc"), ("nvme0n1", "nvme0n1")])
    func disks(mountpoint: String, disk: String) throws {
        #expect(try Self.request(["mountpoint": .string(mountpoint)]).disk == disk)
    }

    @Test(
        "Invalid disk names are refused",
        arguments: [
            "", "/dev/", "/dev/mapper/x", "../vdb", "vdb\u{0}", "vdb'/>", "VDB", "vd b", "vdß", 1, true, [], [:], nil,
            .string(String(repeating: "v", count: 1 << 20)),
        ] as [JSONValue])
    func badDisks(mountpoint: JSONValue) {
        let failure = Fixture.failure { _ = try Self.request(["mountpoint": mountpoint]) }
        #expect(failure?.kind == .invalidInput)
        #expect((failure?.reason.utf8.count ?? .max) < 300)
    }

    @Test(
        "What is quoted is cut by code points: one character may have any number",
        arguments: [
            ["mountpoint": .string(longCharacter)], ["instance": .string(longCharacter)], [longCharacter: 1],
            ["instance": ["uuid": .string(longCharacter)]], ["options": [longCharacter: 1]],
        ] as [JSONObject])
    func longCharacters(more: JSONObject) throws {
        let failure = try #require(Fixture.failure { _ = try Self.request(more) })
        #expect(failure.kind == .invalidInput && failure.reason.utf8.count < 600, "\(failure.reason.utf8.count) bytes")
    }

    private static let longCharacter = "e" + String(repeating: "\u{301}", count: 50_000)

    @Test("resize_to in GiB")
    func resize() throws {
        #expect(try Self.request(["resize_to": 3]).resizeToBytes == 3 << 30)
        #expect(try Self.request(["resize_to": 0]).resizeToBytes == nil)
        #expect(try Self.request(["resize_to": nil]).resizeToBytes == nil)
        #expect(try Self.request(["resize_to": .integer(1 << 32)]).resizeToBytes == 1 << 62)
        for bad in [-1, "3", 1.5, true, .integer((1 << 32) + 1), .integer(.max), .integer(.min)] as [JSONValue] {
            #expect(Fixture.failure { _ = try Self.request(["resize_to": bad]) }?.kind == .invalidInput)
        }
    }

    @Test("Volume ids", arguments: ["old_volume_id", "new_volume_id"])
    func volumeIDs(key: String) throws {
        _ = try Self.request([key: nil])
        let tooLong = JSONValue.string(String(repeating: "i", count: 256))
        for bad in [1, [], tooLong, "volume-1\u{0}", "volume-1\n", "\u{7f}"] as [JSONValue] {
            let failure = Fixture.failure { _ = try Self.request([key: bad]) }
            #expect(failure?.kind == .invalidInput)
            #expect(failure?.reason.hasPrefix(key) == true)
        }
    }
}

@Suite("Instance references")
struct InstanceReferenceTests {
    @Test("A UUID string, an object, nova's own object")
    func shapes() throws {
        let upper = Fixture.uuid.uppercased()
        #expect(try InstanceReference(json: .string(upper)).uuid == Fixture.uuid)
        let both = try InstanceReference(json: ["uuid": .string(upper), "name": "instance-1"])
        #expect(both == InstanceReference(uuid: Fixture.uuid, name: "instance-1"))
        #expect(try InstanceReference(json: ["name": "vm"]).key == "name:vm")
        let nova = try InstanceReference(json: [
            "nova_object.name": "Instance", "nova_object.namespace": "nova", "nova_object.version": "2.7",
            "nova_object.data": ["uuid": .string(Fixture.uuid), "host": "h"],
        ])
        #expect(nova.uuid == Fixture.uuid)
        #expect(nova.key == Fixture.uuid)
    }

    @Test(
        "Invalid references are refused",
        arguments: [
            nil, .null, 1, true, [], [:], "", "vm", ["uuid": "vm"], ["name": ""], ["uuid": nil], ["nova_object.data": [:]],
            ["nova_object.data": nil, "uuid": .string(Fixture.uuid)], ["uuid": 7, "name": "vm"],
            ["uuid": .string(Fixture.uuid), "name": 7], ["name": "vm\u{0}"],
            "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a000", "3c9d8a4e_6d5d_4b35_9b0c_1f0c6f1a0099", "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a00gg",
            .string(String(repeating: "a", count: 1 << 20)),
        ] as [JSONValue?])
    func refused(json: JSONValue?) {
        let failure = Fixture.failure { _ = try InstanceReference(json: json) }
        #expect(failure?.kind == .invalidInput)
        #expect((failure?.reason.utf8.count ?? .max) < 300)
    }
}

@Suite("options")
struct SwapOptionsTests {
    static func options(_ json: JSONValue?, defaults: SwapOptions = SwapOptions()) throws -> SwapOptions {
        try SwapOptions(json: json, defaults: defaults)
    }

    @Test("All options are read")
    func all() throws {
        let options = try Self.options([
            "strategy": "copy", "bandwidth_mib_s": 100, "granularity_kib": 64, "buffer_mib": 16, "synchronous_writes": true,
            "timeout_s": 3600, "stall_timeout_s": 1.5, "detect_zeroes": true,
        ])
        #expect(options.strategy == .copy)
        #expect(options.bandwidthMiBs == 100)
        #expect(options.granularityKiB == 64)
        #expect(options.bufferMiB == 16)
        #expect(options.synchronousWrites)
        #expect(options.timeoutS == 3600)
        #expect(options.stallTimeoutS == 1.5)
        #expect(options.detectZeroes)
        #expect(options.needsBlockCopy)
    }

    @Test("detect_zeroes makes the buffer small, unless a size is given")
    func buffer() throws {
        #expect(try Self.options([:]).copyBufferMiB == 0)
        #expect(try Self.options(["detect_zeroes": true]).copyBufferMiB == 8)
        #expect(try Self.options(["detect_zeroes": true, "buffer_mib": 64]).copyBufferMiB == 64)
    }

    @Test("Missing options take the worker's defaults; auto overrides a default strategy")
    func defaults() throws {
        var defaults = SwapOptions()
        defaults.bandwidthMiBs = 7
        defaults.strategy = .rebase
        #expect(try Self.options(nil, defaults: defaults) == defaults)
        #expect(try Self.options(.null, defaults: defaults) == defaults)
        #expect(try Self.options(["strategy": "auto"], defaults: defaults).strategy == nil)
        #expect(try Self.options(["timeout_s": 1], defaults: defaults).bandwidthMiBs == 7)
    }

    @Test(
        "Invalid options are refused by name",
        arguments: [
            ("strategy", "move"), ("strategy", 1), ("strategy", nil), ("bandwidth_mib_s", -1), ("bandwidth_mib_s", 1.5),
            ("bandwidth_mib_s", "1"), ("bandwidth_mib_s", .integer(.max)), ("granularity_kib", 3), ("granularity_kib", 131_072),
            ("granularity_kib", -4), ("buffer_mib", 4097), ("synchronous_writes", 1), ("synchronous_writes", "true"),
            ("timeout_s", -1), ("timeout_s", "1"), ("timeout_s", .real(.infinity)), ("timeout_s", .real(.nan)),
            ("convergence", "sometimes"), ("convergence", true), ("convergence", nil),
            ("guest_latency_budget", "1x"), ("guest_latency_budget", "fast"), ("guest_latency_budget", -1),
            ("guest_latency_budget", true), ("guest_latency_budget", 0.01), ("guest_latency_budget", "1000x"),
            ("stall_timeout_s", 1e9), ("detect_zeroes", "unmap"), ("speed", 1),
        ] as [(String, JSONValue)])
    func refused(option: String, value: JSONValue) {
        let failure = Fixture.failure { _ = try Self.options(.object([option: value])) }
        #expect(failure?.kind == .invalidInput)
        #expect(failure?.reason.contains(option) == true)
    }

    @Test("synchronous_writes is another word for convergence always; what the request names wins over the other's default")
    func convergence() throws {
        var always = SwapOptions()
        (always.convergence, always.synchronousWrites) = (.always, true)
        var synchronous = SwapOptions()
        (synchronous.convergence, synchronous.synchronousWrites) = (.auto, true)
        let cases: [(JSONObject, SwapOptions, Convergence?, Bool)] = [
            ([:], SwapOptions(), nil, false), ([:], always, .always, true), ([:], synchronous, .auto, true),
            (["convergence": "always"], SwapOptions(), .always, true), (["convergence": "auto"], always, .auto, false),
            (["convergence": "off"], synchronous, .off, false), (["synchronous_writes": false], always, .auto, false),
            (["synchronous_writes": true], SwapOptions(), nil, true),
            (["synchronous_writes": true, "convergence": "auto"], SwapOptions(), .auto, true),
            (["synchronous_writes": false, "convergence": "off"], always, .off, false),
        ]
        for (json, defaults, convergence, isSynchronous) in cases {
            let options = try Self.options(.object(json), defaults: defaults)
            #expect(options.convergence == convergence && options.synchronousWrites == isSynchronous, "\(json)")
        }
        for (flag, convergence) in [(true, "off"), (false, "always")] {
            let json: JSONObject = ["synchronous_writes": .bool(flag), "convergence": .string(convergence)]
            let failure = Fixture.failure { _ = try Self.options(.object(json)) }
            #expect(failure?.kind == .invalidInput && failure?.reason.contains("contradicts") == true)
        }
    }

    @Test("A latency budget is a number of milliseconds, a string of one, or a factor; 0 and null are none")
    func latencyBudget() throws {
        let cases: [(JSONValue, LatencyBudget?)] = [
            (20, .milliseconds(20)), (2.5, .milliseconds(2.5)), ("20", .milliseconds(20)), ("2x", .factor(2)), (0, nil),
            ("0", nil),
            (.null, nil),
        ]
        var defaults = SwapOptions()
        defaults.guestLatencyBudget = .factor(3)
        for (value, budget) in cases {
            let options = try Self.options(["guest_latency_budget": value], defaults: defaults)
            #expect(options.guestLatencyBudget == budget)
            // Short bursts, unless a size is given.
            #expect(options.copyBufferMiB == (budget == nil ? 0 : 1))
        }
        #expect(try Self.options([:], defaults: defaults).guestLatencyBudget == .factor(3))
        #expect(try Self.options(["guest_latency_budget": 5, "buffer_mib": 4]).copyBufferMiB == 4)
        #expect(try Self.options(["guest_latency_budget": 5]).needsBlockCopy)
    }

    @Test("options that are not an object are refused", arguments: [[], "strategy=copy", 1, true] as [JSONValue])
    func noObject(json: JSONValue) {
        #expect(Fixture.failure { _ = try Self.options(json) }?.kind == .invalidInput)
    }
}
