import JSON
import OsloMessaging
import Testing

@Suite struct RPCReplyTests {
    @Test func aResultIsWrittenAsOsloDoes() throws {
        let reply = RPCReply(messageID: "m", uniqueID: "u", content: .result(["a": 1]))
        #expect(
            String(decoding: reply.encoded(), as: UTF8.self)
                == #"{"oslo.version":"2.0","oslo.message":"{\"result\":{\"a\":1},\"failure\":null,\"ending\":true,"#
                + #"\"_msg_id\":\"m\",\"_unique_id\":\"u\"}"}"#)
    }

    @Test(arguments: [
        RPCReply.Content.heartbeat, .result(.null), .result(["x": [1.5]]), .failure(NovaFailure().invalidInput(reason: "no")),
    ])
    func roundTrips(_ content: RPCReply.Content) throws {
        let reply = RPCReply(messageID: "m", uniqueID: "u", content: content)
        #expect(try RPCReply(decoding: reply.encoded()) == reply)
    }

    @Test func aHeartbeatDoesNotEnd() {
        let inner = RPCReply(messageID: "m", uniqueID: "u", content: .heartbeat).inner
        #expect(inner["ending"] == false)
        #expect(inner["result"] == .null)
        #expect(inner["failure"] == .null)
    }

    @Test func novaFailuresCarryNovasTexts() {
        let nova = NovaFailure(module: "nova.exception")
        let rows: [(RemoteFailure, String, String, JSONObject)] = [
            (
                nova.volumeRebaseFailed(reason: "r"), "VolumeRebaseFailed", "Volume rebase failed: r",
                ["reason": "r", "code": 500]
            ),
            (
                nova.instanceNotFound(instanceID: "i"), "InstanceNotFound", "Instance i could not be found.",
                ["instance_id": "i", "code": 404]
            ),
            (
                nova.instanceNotRunning(instanceID: "i"), "InstanceNotRunning", "Instance i is not running.",
                ["instance_id": "i", "code": 400]
            ),
            (nova.diskNotFound(location: "vdb"), "DiskNotFound", "No disk at vdb", ["location": "vdb", "code": 404]),
            (nova.invalidInput(reason: "r"), "InvalidInput", "Invalid input received: r", ["reason": "r", "code": 400]),
            (nova.invalidVolume(reason: "r"), "InvalidVolume", "Invalid volume: r", ["reason": "r", "code": 400]),
        ]
        for (failure, className, message, kwargs) in rows {
            #expect(failure.className == className)
            #expect(failure.module == "nova.exception")
            #expect(failure.message == message)
            #expect(failure.args == [.string(message)])
            #expect(failure.kwargs == kwargs)
            #expect(RemoteFailure(parsing: failure.serialized()) == failure)
        }
    }

    @Test func dispatcherFailuresAreThoseOfARealServer() {
        #expect(
            RemoteFailure.unsupportedVersion("2.0", method: "m").serialized()
                == #"{"class":"UnsupportedVersion","module":"oslo_messaging.rpc.dispatcher","#
                + #""message":"Endpoint does not support RPC version 2.0. Attempted method: m","tb":[],"#
                + #""args":["Endpoint does not support RPC version 2.0. Attempted method: m"],"kwargs":{}}"#)
        #expect(RemoteFailure.noSuchMethod("m").message == "Endpoint does not support RPC method m")
    }

    @Test func derivedIDsAreStableAndRandomOnesAreNot() {
        #expect(UniqueID.derived(from: "task") == UniqueID.derived(from: "task"))
        #expect(UniqueID.derived(from: "task") != UniqueID.derived(from: "tasl"))
        #expect(UniqueID.derived(from: "").count == 32)
        #expect(UniqueID.random() != UniqueID.random())
    }
}
