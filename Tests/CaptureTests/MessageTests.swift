import Foundation
import JSON
import OsloMessaging
import Testing

@testable import Capture

@Suite struct MessageTests {
    static func request(_ method: String = "swap_volume", _ args: JSONObject = [:], _ more: JSONObject = [:]) -> CaptureLine {
        var inner: JSONObject = [
            "method": .string(method), "args": .object(args), "_msg_id": "m1", "_reply_q": "reply_1", "_unique_id": "u1",
            "_context_request_id": "req-1", "_context_auth_token": "s3cret",
        ]
        inner.merge(more)
        return CaptureLine(
            capturedAt: Date(timeIntervalSince1970: 1_795_395_522), exchange: "openstack", routingKey: "pivotd.h",
            body: .init(MessageEnvelope.wrap(inner)))
    }

    @Test func tellsKindsApart() {
        func kind(_ body: String) -> String {
            let line = CaptureLine(capturedAt: nil, exchange: "", routingKey: "", body: .init(Array(body.utf8)))
            let message = CapturedMessage(line)
            if case .unreadable(_, _?) = message { return "answerable" }
            return message.kind
        }
        #expect(kind(#"{"method": "x", "_msg_id": "m", "_reply_q": "q"}"#) == "call")
        #expect(kind(#"{"method": "x"}"#) == "cast")
        #expect(kind(#"{"oslo.version": "2.0", "oslo.message": "{\"method\": \"x\"}"}"#) == "cast")
        #expect(kind(#"{"result": 1, "failure": null, "ending": true, "_msg_id": "m"}"#) == "reply")
        #expect(kind(#"{"result": null, "failure": null, "ending": false, "_msg_id": "m"}"#) == "heartbeat")
        #expect(kind(#"{"event_type": "volume_swap.end", "payload": {}}"#) == "notification")
        #expect(kind(#"{"method": 7, "_msg_id": "m", "_reply_q": "q"}"#) == "answerable")
        #expect(kind("garbage") == "unreadable")
        #expect(kind("[]") == "unreadable")
    }

    @Test(arguments: [
        ("method=swap_volume", true), ("method = get_swap", false), ("method!=get_swap", true), ("method~swap", true),
        ("method=get_swap or instance=i1", true), ("method=swap_volume and disk=vdc", false), ("disk=vdb, kind=call", true),
        ("volume='old 1'", true), ("volume=s2", true), ("routing_key~pivotd", true), ("disk=/dev/vdb", true),
        ("disk=/dev/vdc", false), ("instance=I1", true), ("instance!=I1", false), ("volume~OLD", true), ("kind=CAST", false),
        ("time>=2026-11-23T00:58:42Z", true), ("time<2026-11-23", false), ("time>2026-11-22 and time<2026-11-24", true),
    ])
    func filters(text: String, isMatch: Bool) throws {
        let line = Self.request(
            "swap_volume",
            [
                "instance": ["nova_object.data": ["uuid": "i1"]], "mountpoint": "/dev/vdb", "old_volume_id": "old 1",
                "new_connection_info": ["serial": "s2"],
            ])
        #expect(try CaptureFilter(parsing: text).matches(line, CapturedMessage(line)) == isMatch)
    }

    @Test(arguments: [
        "", "method", "method=", "colour=red", "time>yesterday", "method<x", "method=x method=y", "volume='x", "kind=answer",
    ])
    func refusesFilters(text: String) {
        #expect(throws: CaptureError.self) { try CaptureFilter(parsing: text) }
    }

    @Test func mapsNamesWhereverTheyStand() throws {
        var map = IDMap()
        for rule in ["v-1=v-2", "/mnt/a=/srv/b", "10.0.0.1=10.9.9.9", "compute1=compute2", "compute2=compute3"] {
            try map.add(rule)
        }
        let value: JSONValue = [
            "id": "v-1", "name": "volume-v-1", "longer": "v-12", "path": "/mnt/a/v-1/disk", "other": "/mnt/ab",
            "portal": "10.0.0.1:3260",
            "neighbour": "10.0.0.10", "deep": .string(#"{"data":{"host":"compute1","n":1}}"#), "topic": "pivotd.compute1",
            "number": 1, "list": ["compute1"],
        ]
        #expect(
            map.mapped(value) == [
                "id": "v-2", "name": "volume-v-2", "longer": "v-12", "path": "/srv/b/v-2/disk", "other": "/mnt/ab",
                "portal": "10.9.9.9:3260", "neighbour": "10.0.0.10", "deep": .string(#"{"data":{"host":"compute2","n":1}}"#),
                "topic": "pivotd.compute2", "number": 1, "list": ["compute2"],
            ])
        #expect(map.unused == ["compute2"])
        for rule in ["nothing", "=x", "x=", "v-1=other"] {
            #expect(throws: CaptureError.self, "\(rule)") { try map.add(rule) }
        }
    }

    @Test(arguments: [
        ("/mnt=/srv", "/mnt/x", "/srv/x"), ("/mnt=/srv", "/data/mnt/x", "/data/mnt/x"),
        ("/mnt=/srv", "10.0.0.1:/mnt", "10.0.0.1:/srv"),
        ("/mnt=/srv", "/mnt-2/x", "/mnt-2/x"), ("/mnt=/srv", "/mnt.old", "/mnt.old"), ("/mnt/=/srv/", "/mnt/a-b", "/srv/a-b"),
        ("/dev/vdb=/dev/vdc", "disk /dev/vdb, then", "disk /dev/vdc, then"),
        ("3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a00ff=new", "volume-3C9D8A4E-6D5D-4B35-9B0C-1F0C6F1A00FF", "volume-new"),
        ("3C9D8A4E-6D5D-4B35-9B0C-1F0C6F1A00FF=new", "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a00ff", "new"),
        ("Host=other", "host Host", "host other"),
    ])
    func mapsPathsAndUUIDs(rule: String, text: String, mapped: String) throws {
        var map = IDMap()
        try map.add(rule)
        #expect(map.mapped(text) == mapped)
    }

    @Test func aTokenIsRenewedAsTheTaskIDThatItBecomes() throws {
        let (fresh, token) = (FreshIDs(), "2B1F9D0E-6A1C-4C53-9D84-0F1D6F7C9A10")
        var swap: JSONObject = ["method": "swap_volume", "args": ["request_token": .string(token)]]
        var question: JSONObject = ["method": "get_swap", "args": ["task_id": .string(token.lowercased())]]
        fresh.renew(&swap)
        fresh.renew(&question)
        let renewed = try #require(swap["args"]?["request_token"]?.stringValue)
        #expect(UUID(uuidString: renewed) != nil && renewed != token.lowercased())
        #expect(question["args"]?["task_id"] == .string(renewed))
    }

    @Test func freshIDsStayEqualToEachOther() {
        let fresh = FreshIDs()
        var first: JSONObject = ["_msg_id": "m", "_unique_id": "u", "args": [:]]
        var second: JSONObject = ["_msg_id": "m2", "_unique_id": "u", "args": ["task_id": "u"]]
        fresh.renew(&first)
        fresh.renew(&second)
        #expect(first["_unique_id"] == second["_unique_id"] && first["_msg_id"] != second["_msg_id"])
        #expect(second["args"]?["task_id"] == first["_unique_id"])
        #expect(first["_unique_id"] != "u" && FreshIDs().id(for: "u") != fresh.id(for: "u"))
    }

    @Test func showsMessagesWithoutSecrets() throws {
        let line = Self.request("swap_volume", ["auth_password": "s3cret", "text": "a\u{1B}[2Jb"])
        var folding = MessageText(showsContexts: false)
        let folded = folding.block(line, number: 3)
        #expect(folded.contains("#3") && folded.contains("call swap_volume") && folded.contains("request_id req-1, 1 more"))
        var showing = MessageText(showsContexts: true)
        let whole = showing.block(line, number: 3)
        #expect(whole.contains("auth_token"))
        let json = folding.json(line)
        #expect(json["kind"] == "call" && json["message"]?["args"]?["auth_password"] == "***")
        for text in [folded, whole, json.serialized()] {
            #expect(!text.contains("s3cret") && !text.contains("\u{1B}"))
        }
    }
}
