import Foundation
import JSON
import OrderedCollections
import OsloMessaging
import Testing

@testable import Capture

@Suite struct CaptureRedactorTests {
    private func redacted(_ body: CaptureLine.Body) -> String {
        var line = CaptureFileTests.line
        line.properties.headers = ["x-token": "s3cret", "plain": "kept"]
        line.body = body
        var redactor = CaptureRedactor()
        let clean = redactor.redacted(line)
        #expect(clean.properties.headers == ["x-token": "***", "plain": "kept"])
        return String(decoding: clean.body.bytes, as: UTF8.self)
    }

    @Test func keepsTheMessageReplayable() throws {
        let inner: JSONValue = [
            "method": "swap_volume", "_unique_id": "u",
            "args": ["new_connection_info": ["data": ["auth_password": "s3cret", "secret_uuid": "id"]]],
        ]
        let text = redacted(.json(["oslo.version": "2.0", "oslo.message": .string(inner.serialized())]))
        #expect(!text.contains("s3cret"))
        let request = try RPCRequest(decoding: Array(text.utf8))
        #expect(request.args["new_connection_info"]?["data"] == ["auth_password": "***", "secret_uuid": "id"])
        #expect(request.uniqueID == "u")
    }

    @Test(arguments: [
        #"{"auth_password": "s3cret", "x": "#, #"{"oslo.message": "{\"auth_password\": \"s3cret\", \"x"#,
        #"password=s3cret&user=me"#, "{'keyring': 's3cret', 'user': 'me'}", #"auth_token : s3cret, user"#,
        #""password":"s3\"s3cret", "x"#, #"{\"password\":\"a\\\"s3cret\", \"user\":\"me\""#,
    ])
    func masksWhatOnlyLooksLikeJSON(text: String) {
        let clean = redacted(.bytes(Array(text.utf8)))
        #expect(!clean.contains("s3cret"), "\(clean)")
        #expect(clean.contains("***"))
    }

    @Test func masksABrokenTextWithinJSON() {
        let text = redacted(.json(["oslo.version": "2.0", "oslo.message": #"{"args": {"auth_password": "s3cret"#]))
        #expect(!text.contains("s3cret"))
    }

    @Test(arguments: ["garbage", "key: value", "secret", "password", "pass: word", #"{"secret_uuid": "id"#])
    func leavesTheRestAlone(text: String) {
        #expect(redacted(.bytes(Array(text.utf8))) == text)
    }

    @Test(arguments: [
        [0x1f, 0x8b, 8, 0] + Array("deflated".utf8), Array("{\"password\": \"s3cret\"}".utf8).flatMap { [$0, 0] },
        [0x81, 0xa8] + Array("password".utf8) + [0xa6] + Array("s3cret".utf8),
    ])
    func whatCannotBeReadHasNoSecretEither(bytes: [UInt8]) {
        let clean = redacted(.bytes(bytes))
        #expect(clean.hasSuffix("***"))
        #expect(!clean.utf8.filter { $0 != 0 }.elementsEqual(bytes.filter { $0 != 0 }))
    }

    @Test func masksPropertiesToo() {
        var line = CaptureFileTests.line
        line.properties.correlationID = "password=s3cret"
        line.properties.messageID = "kept"
        line.properties.type = "token 's3cret'"
        var redactor = CaptureRedactor()
        let clean = redactor.redacted(line).properties
        #expect(clean.correlationID == "password=***")
        #expect(clean.messageID == "kept")
        #expect(clean.type == "token '***'")
    }

    @Test func aFailureMayQuoteWhatItsRequestBrought() {
        var redactor = CaptureRedactor()
        var line = CaptureFileTests.line
        line.body = .json(["oslo.message": #"{"args": {"new": "{\"auth_password\": \"hunter\\\"22\"}"}}"#])
        _ = redactor.redacted(line)
        line.body = .json(["oslo.message": #"{"failure": "{\"message\": \"iscsiadm said: hunter\\\"22 is bad\"}"}"#])
        let clean = redactor.redacted(line)
        #expect(clean.body == .json(["oslo.message": #"{"failure":"{\"message\":\"iscsiadm said: *** is bad\"}"}"#]))
    }
}
