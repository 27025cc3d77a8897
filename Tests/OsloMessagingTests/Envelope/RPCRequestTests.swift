import JSON
import Testing

@testable import OsloMessaging

@Suite struct RPCRequestTests {
    private static let inner: JSONObject = [
        "method": "swap_volume", "args": ["mountpoint": "/dev/vdb"], "version": "1.0", "namespace": nil, "_msg_id": "m1",
        "_reply_q": "reply_1", "_timeout": 60, "_unique_id": "u1", "_context_user": "admin", "_context_auth_token": "t",
        "something_new": [1, 2],
    ]

    @Test func readsAnEnvelope() throws {
        let request = try RPCRequest(decoding: MessageEnvelope.wrap(Self.inner))
        #expect(request.method == "swap_volume")
        #expect(request.args == ["mountpoint": "/dev/vdb"])
        #expect(request.version == "1.0")
        #expect(request.namespace == nil)
        #expect(request.uniqueID == "u1")
        #expect(request.context == ["user": "admin", "auth_token": "t"])
        #expect(request.inner["something_new"] == [1, 2])
        #expect(request.replyAddress == ReplyAddress(messageID: "m1", replyQueue: "reply_1", timeout: 60))
    }

    @Test func readsABareInnerObjectAndACast() throws {
        let request = try RPCRequest(decoding: Array(#"{"method": "m"}"#.utf8))
        #expect(request.method == "m")
        #expect(request.args.isEmpty)
        #expect(request.replyAddress == nil)
        #expect(request.version == nil)
    }

    @Test(arguments: [
        ("nonsense", EnvelopeError.Code.notJSON), ("[]", .wrongType), ("{}", .missingKey), (#"{"method": 1}"#, .wrongType),
        (#"{"oslo.version": "3.0", "oslo.message": "{}"}"#, .unsupportedVersion),
        (#"{"oslo.version": 2, "oslo.message": "{}"}"#, .unsupportedVersion),
        (#"{"oslo.version": "2.0", "oslo.message": "{"}"#, .notJSON),
        (#"{"oslo.version": "2.0", "oslo.message": {}}"#, .wrongType),
        (#"{"method": "m", "_msg_id": 7, "_reply_q": "q"}"#, .wrongType),
        (#"{"method": "m", "_msg_id": "x", "_reply_q": {}}"#, .wrongType),
        (#"{"method": "m", "_msg_id": "x", "_reply_q": "q", "_timeout": "60"}"#, .wrongType),
        (#"{"method": "m", "_msg_id": "x", "_reply_q": "amq.rabbitmq.reply-to.1"}"#, .reservedQueue),
        (#"{"method": "m", "args": []}"#, .wrongType), (#"{"method": "m", "_msg_id": "x"}"#, .missingKey),
    ])
    func faultsAreTyped(_ body: String, _ code: EnvelopeError.Code) {
        let error = #expect(throws: EnvelopeError.self) { try RPCRequest(decoding: Array(body.utf8)) }
        #expect(error?.code == code)
    }

    @Test("A version of one character, however many bytes, is not quoted whole")
    func longCharacter() {
        let version = "9" + String(repeating: "\u{301}", count: 100_000)
        let envelope: JSONValue = ["oslo.version": .string(version), "oslo.message": "{}"]
        let error = #expect(throws: EnvelopeError.self) { try RPCRequest(decoding: envelope.serializedBytes()) }
        #expect(error?.code == .unsupportedVersion)
        #expect(error.map { $0.message.utf8.count < 200 } == true)
    }

    @Test func aLaterMinorEnvelopeIsRead() throws {
        let body = #"{"oslo.version": "2.1", "oslo.message": "{\"method\": \"m\"}"}"#
        #expect(try RPCRequest(decoding: Array(body.utf8)).method == "m")
    }

    @Test func anUnusableCallStillNamesItsCaller() {
        let body = #"{"args": 1, "_msg_id": "m", "_reply_q": "q", "auth_password": "hunter2"}"#
        let error = #expect(throws: EnvelopeError.self) { try RPCRequest(decoding: Array(body.utf8)) }
        #expect(error?.replyAddress == ReplyAddress(messageID: "m", replyQueue: "q"))
        #expect(error.map { "\($0)".contains("hunter2") } == false)
    }

    @Test func versionsAreCompatibleWithinAMajor() throws {
        let served = RPCVersion(major: 1, minor: 2)
        for (text, isServed) in [("1.0", true), ("1.2", true), ("1.3", false), ("2.0", false), ("0.9", false), ("1.2.7", true)] {
            #expect(served.serves(try #require(RPCVersion(text))) == isServed, "\(text)")
        }
        for text in ["", "x", "1.x", "1.0.0.0", "-1.0", "+1.0", "1.0.x", "01.0", "1.0\n"] { #expect(RPCVersion(text) == nil) }
    }

    @Test func heartbeatsAreDueAtHalfTheTimeout() {
        #expect(ReplyAddress(messageID: "m", replyQueue: "q", timeout: 60).heartbeatInterval == .seconds(30))
        #expect(ReplyAddress(messageID: "m", replyQueue: "q").heartbeatInterval == nil)
        #expect(ReplyAddress(messageID: "m", replyQueue: "q", timeout: 0.001).heartbeatInterval == .seconds(1))
        #expect(ReplyAddress(messageID: "m", replyQueue: "q", timeout: 1).heartbeatInterval == .milliseconds(500))
        #expect(ReplyAddress(messageID: "m", replyQueue: "q", timeout: 1e300).heartbeatInterval == .seconds(86_400))
    }

    @Test(
        "The caller is answered even if Python wrote something that is not JSON",
        arguments: ["NaN", "1e400", #""\ud800""#, "18446744073709551616"])
    func unreadableNumbers(value: String) {
        let inner = #"{"method": "m", "args": {"_msg_id": 5, "x": \#(value)}, "_msg_id": "0a", "_reply_q": "reply_1"}"#
        let envelope: JSONValue = ["oslo.version": "2.0", "oslo.message": .string(inner)]
        for body in [envelope.serializedBytes(), Array(inner.utf8)] {
            let error = #expect(throws: EnvelopeError.self) { try RPCRequest(decoding: body) }
            #expect(error?.code == .notJSON)
            #expect(MessageEnvelope.address(inUnreadable: body) == ReplyAddress(messageID: "0a", replyQueue: "reply_1"))
        }
    }

    @Test(
        "Nobody is answered unless both names are plain tokens",
        arguments: [
            #""_msg_id": "a""#, #""_msg_id": "a", "_reply_q": "amq.rabbitmq.reply-to""#,
            #""_msg_id": "a", "_reply_q": "x y""#, #""_msg_id": 5, "_reply_q": "q""#,
        ])
    func unreadableAddress(members: String) {
        let envelope: JSONValue = ["oslo.version": "2.0", "oslo.message": .string("{\(members), \"x\": NaN}")]
        #expect(throws: EnvelopeError.self) { try RPCRequest(decoding: envelope.serializedBytes()) }
        #expect(MessageEnvelope.address(inUnreadable: envelope.serializedBytes()) == nil)
    }

    @Test("The reply address is only searched for at the end of a body")
    func endOfTheBody() {
        let address = #""_msg_id": "a", "_reply_q": "q""#
        let padding = String(repeating: "x", count: 100_000)
        #expect(MessageEnvelope.address(inUnreadable: Array("\(padding) \(address)".utf8))?.replyQueue == "q")
        #expect(MessageEnvelope.address(inUnreadable: Array("\(address) \(padding)".utf8)) == nil)
    }
}
