import JSON
import OsloMessaging
import Testing
import VolumeSwap

@testable import SwapBus

@Suite("The methods on the bus")
struct SwapEndpointTests {
    @Test("All methods are found by name, and only swap_volume is stored")
    func methods() {
        let methods = [
            "swap_volume", "check_swap", "get_swap", "list_swaps", "abort_swap", "set_bandwidth", "get_connector", "list_volumes",
            "get_capabilities", "pivot_swap", "pause_queue", "resume_queue", "drain",
        ]
        #expect(SwapEndpoint.methods == Set(methods))
        #expect(SwapEndpoint.storedMethods == ["swap_volume"])
        // Which the server answers itself.
        #expect(GetCapabilities.methods == (methods + ["oslo_rpc_server_ping"]).sorted())
    }

    static let uuid = "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0099"

    static func request(_ args: JSONObject, _ more: JSONObject = [:]) throws -> RPCRequest {
        var inner: JSONObject = ["method": "swap_volume", "args": .object(args), "version": "1.0"]
        for (key, value) in more { inner[key] = value }
        return try RPCRequest(inner: inner)
    }

    @Test("A call's record has its id, order, disk and reply address")
    func call() throws {
        let record = SwapVolume.record(
            try Self.request(
                ["instance": .string(Self.uuid.uppercased()), "mountpoint": "/dev/vdb"],
                ["_msg_id": "m1", "_reply_q": "reply_1", "_timeout": 60, "_unique_id": "u1", "_context_user": "admin"]))
        #expect(record.id == TaskID("u1"))
        #expect(record.instanceKey == Self.uuid)
        #expect(record.disk == "vdb")
        #expect(record.replyTo == ReplyTo(messageID: "m1", queue: "reply_1", timeout: 60))
        #expect(record.context["user"] == "admin")
        #expect(record.phase == .accepted)
        #expect(!record.isReplied)
    }

    @Test("The same message is the same task; a cast owes no reply")
    func identity() throws {
        let one = SwapVolume.record(try Self.request([:], ["_unique_id": "u1"]))
        let other = SwapVolume.record(try Self.request([:], ["_unique_id": "u1"]))
        #expect(one.id == other.id)
        #expect(one.replyTo == nil)
        #expect(one.isReplied)
    }

    @Test("A message without an id is a task of its own")
    func noID() throws {
        let one = SwapVolume.record(try Self.request([:]))
        let other = SwapVolume.record(try Self.request([:]))
        #expect(one.id != other.id)
        #expect(one.instanceKey != other.instanceKey)
    }

    @Test(
        "Invalid arguments still make a record, so that they are answered",
        arguments: [[:], ["instance": 1], ["mountpoint": "../x"]] as [JSONObject])
    func badArguments(args: JSONObject) throws {
        let record = SwapVolume.record(try Self.request(args, ["_unique_id": "u1"]))
        #expect(record.instanceKey == "task:u1")
        #expect(record.disk == "")
        #expect(record.args == args)
    }

    @Test("A refused request is known by its instance and disk, but is not in the instance's order")
    func refused() throws {
        let names: [(JSONValue, String)] = [(.string(Self.uuid), Self.uuid), (["name": "vm"], "name:vm")]
        for (instance, key) in names {
            let args: JSONObject = ["instance": instance, "mountpoint": "vdb", "resize_to": "big"]
            let swap = SwapVolume(try Self.request(args, ["_unique_id": "u1"]), defaults: SwapOptions())
            #expect(swap.refusal != nil)
            #expect(swap.record.instanceKey == "refused:\(key)")
            #expect(swap.record.disk == "vdb")
        }
    }

    @Test("list_swaps' arguments are read")
    func query() throws {
        #expect(try SwapQuery(args: [:]) == SwapQuery())
        #expect(try SwapQuery(args: ["instance": nil, "states": nil, "limit": nil]) == SwapQuery())
        let query = try SwapQuery(args: ["instance": .string(Self.uuid), "states": ["copying", "ready"], "limit": 5])
        #expect(query == SwapQuery(instanceKeys: [Self.uuid], states: ["copying", "ready"], limit: 5))
        #expect(try SwapQuery(args: ["states": "failed"]).states == ["failed"])
        let found = try SwapQuery(args: ["volume_id": "v1", "task_id_prefix": "9f"])
        #expect(found.volumeID == "v1" && found.idPrefix == "9f")
    }

    @Test(
        "list_swaps' invalid arguments are refused",
        arguments: [
            ["limit": 0], ["limit": 10001], ["limit": "5"], ["limit": 1.5], ["states": ["moving"]], ["states": [1]],
            ["states": 1], ["volume_id": 1], ["task_id_prefix": []], ["volume_id": "v1\u{0}"], ["task_id_prefix": "\u{0}"],
            ["instance": "vm"],
        ] as [JSONObject])
    func badQuery(args: JSONObject) {
        #expect(throws: SwapFailure.self) { try SwapQuery(args: args) }
    }

    @Test("A task is asked for by its id as given")
    func selector() throws {
        let id = Self.uuid.uppercased()
        guard case .task(let task) = try SwapSelector(args: ["task_id": .string(id)]) else {
            Issue.record("no task is asked for")
            return
        }
        #expect(task.text == id)
    }

    @Test(
        "Arguments without a task are refused",
        arguments: [
            [:], ["task_id": 1], ["task_id": "t1\u{0}"], ["instance": "x"], ["instance": .string(Self.uuid)],
            ["mountpoint": "vdb"],
        ] as [JSONObject])
    func badSelectors(args: JSONObject) {
        #expect(throws: SwapFailure.self) { try SwapSelector(args: args) }
        #expect(throws: SwapFailure.self) { try GetSwap(args: args) }
    }

    @Test(
        "pivot_swap takes a list of task ids",
        arguments: [nil, 1, "t1", [], [1], ["t1", nil], ["t1\u{0}"], .array(Array(repeating: "t1", count: 1001))] as [JSONValue])
    func badTasks(tasks: JSONValue) {
        #expect(throws: SwapFailure.self) { try PivotSwap(args: ["task_ids": tasks]) }
    }

    @Test(
        "Each kind of failure is a nova exception",
        arguments: [
            (SwapFailure.Kind.volumeRebaseFailed, "VolumeRebaseFailed", "reason", 500),
            (.instanceNotFound, "InstanceNotFound", "instance_id", 404),
            (.instanceNotRunning, "InstanceNotRunning", "instance_id", 400), (.diskNotFound, "DiskNotFound", "location", 404),
            (.invalidInput, "InvalidInput", "reason", 400), (.invalidVolume, "InvalidVolume", "reason", 400),
        ])
    func failures(kind: SwapFailure.Kind, name: String, key: String, code: Int64) {
        let failure = NovaFailure().failure(
            SwapFailure(kind, "the cause", .ioError, inUse: .old, leftBehind: ["a job"]), task: "t-1")
        #expect(failure.className == name)
        #expect(failure.module == "nova.exception")
        #expect(failure.kwargs[key] == "the cause")
        #expect(failure.kwargs["code"] == .integer(code))
        #expect(failure.message.contains("the cause"))
        #expect(failure.kwargs["task_id"] == "t-1")
        #expect(failure.kwargs["reason_code"] == "io_error")
        #expect(failure.kwargs["retryable"] == true)
        #expect(failure.kwargs["in_use"] == "old")
        #expect(failure.kwargs["left_behind"] == ["a job"])
    }
}
