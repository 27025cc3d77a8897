import AMQP
import Foundation
import JSON
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

    @Test(
        arguments: [
            Array(#"{"auth_password": "s3cret", "x": "#.utf8), Array("password=s3cret&user=me".utf8), Array("garbage".utf8),
            Array("password".utf8), [0x1f, 0x8b, 8, 0] + Array("deflated".utf8), [0xff, 0x00],
            Array("{\"password\": \"s3cret\"}".utf8).flatMap { [$0, 0] as [UInt8] }, Array("***".utf8),
        ] as [[UInt8]]
    )
    func whatIsNotJSONIsMaskedWhole(bytes: [UInt8]) { #expect(redacted(.bytes(bytes)) == "***") }

    @Test func nothingStaysNothing() { #expect(redacted(.bytes([])) == "") }

    @Test func masksABrokenTextWithinJSON() {
        let text = redacted(.json(["oslo.version": "2.0", "oslo.message": #"{"args": {"auth_password": "s3cret"#]))
        #expect(!text.contains("s3cret"))
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

    private func redacted(_ redactor: inout CaptureRedactor, _ body: JSONValue) -> JSONValue {
        var line = CaptureFileTests.line
        line.body = .json(body)
        guard case .json(let clean) = redactor.redacted(line).body else { return nil }
        return clean
    }

    @Test func aSecretSeenUnderItsNameIsFoundAgain() {
        var redactor = CaptureRedactor()
        let clean = redacted(
            &redactor,
            [
                "reason": "CHAP: s3cret-one was refused",
                "data": ["auth_password": "s3cret-one", "key": "volume-1", "token": ["nested1secret"]],
                "id": "volume-s3cret-one", "uuid": ["secret": "457eb676-33da-42ec-9a8c-9293d545c337", "password": "openstack"],
            ])
        #expect(clean["reason"] == "CHAP: *** was refused")
        #expect(clean["id"] == "volume-s3cret-one", "a part of a name is none")
        let later: [JSONValue] = [
            "failed with s3cret-one\n", "s3cret-one", "iscsi:s3cret-one@h", "a s3cret-ones3cret-one",
            "volume-1 of openstack 457eb676-33da-42ec-9a8c-9293d545c337 nested1secret",
        ]
        let wanted: [JSONValue] = ["failed with ***\n", "***", "iscsi:***@h"] + later.dropFirst(3)
        #expect(
            redacted(&redactor, .array(later)) == .array(wanted),
            "words, ids and what is a part of an object are not taken for secrets")
    }

    @Test func aSecretNamedInAText() {
        var redactor = CaptureRedactor()
        _ = redacted(&redactor, ["rabbit://u:s3cret-one@h", "auth_password=s3cret-two, x", "token of volume-1 expired"])
        var line = CaptureFileTests.line
        line.body = .bytes(Array("damaged: password=s3cret-three".utf8))
        _ = redactor.redacted(line)
        #expect(redacted(&redactor, ["s3cret-one s3cret-two s3cret-three volume-1"]) == ["*** *** *** volume-1"])
    }

    @Test func theOldestRememberedSecretsAreForgotten() {
        var known = KnownSecrets()
        for number in 0...25_000 { _ = known.learn("secret-\(number)") }
        #expect(known.masked("is secret-24999 known") == "is *** known")
        #expect(known.masked("is secret-1 known") == nil)
    }

    /// Secrets that begin alike, in a text in which each of them may begin anywhere.
    @Test(.timeLimit(.minutes(10))) func secretsThatBeginAlikeCostLittle() {
        var known = KnownSecrets()
        let dots = String(repeating: ".", count: 1000)
        for length in 900..<1000 { _ = known.learn("\(dots.prefix(length))1") }
        #expect(known.masked(String(repeating: dots, count: 20)) == nil)
    }
}
