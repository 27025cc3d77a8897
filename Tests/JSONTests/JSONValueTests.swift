import Foundation
import JSON
import Testing

@Suite struct JSONValueTests {
    @Test(arguments: [
        "null", "true", "false", "0", "-9223372036854775808", "9223372036854775807", "\"x\"", "[]", "{}", "0.1", "5e-324",
        "1.7976931348623157e+308", "1.0", "[1,[2,{\"a\":null}],\"\\u0000\\u001f\\n\\\"\\\\é😀\"]", "{\"b\":1,\"a\":2}",
    ])
    func roundTripsExactly(_ text: String) throws {
        #expect(try JSONValue(parsing: text).serialized() == text)
    }

    @Test func escapesEachByteThatNeedsItWhereverItStands() {
        for byte in UInt8(0)..<0x80 {
            let scalar = Unicode.Scalar(byte)
            let escaped =
                switch byte {
                case 0x22, 0x5c: "\\\(scalar)"
                case 0x08: "\\b"
                case 0x09: "\\t"
                case 0x0a: "\\n"
                case 0x0c: "\\f"
                case 0x0d: "\\r"
                case 0..<0x20: "\\u00" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16)
                default: "\(scalar)"
                }
            for before in 0...17 {
                let start = String(repeating: "é!", count: before)
                let text = "\(start)\(scalar)\(scalar)end"
                #expect(JSONValue.string(text).serialized() == "\"\(start)\(escaped)\(escaped)end\"")
            }
        }
    }

    @Test func keepsInsertionOrderAndTheLastDuplicate() throws {
        let value = try JSONValue(parsing: #"{"z": 1, "a": 2, "z": 3}"#)
        #expect(value.serialized() == #"{"z":3,"a":2}"#)
        #expect(value == ["a": 2, "z": 3])
        #expect(value.hashValue == (["a": 2, "z": 3] as JSONValue).hashValue)
        #expect(value.serialized(sortedKeys: true, indent: 2) == "{\n  \"a\": 2,\n  \"z\": 3\n}")
    }

    @Test func canonicallyEquivalentKeysDoNotBreakTheObject() throws {
        let value = try JSONValue(parsing: #"{"\u00e9": 1, "e\u0301": 2}"#)
        #expect(value.objectValue?.count == 1)
    }

    @Test func accessorsAnswerOnlyForTheirType() throws {
        let value: JSONValue = ["i": 1, "d": 1.5, "s": "x", "b": true, "n": nil, "a": [1]]
        #expect(value["i"]?.integerValue == 1)
        #expect(value["i"]?.doubleValue == 1)
        #expect(value["d"]?.integerValue == nil)
        #expect(value["s"]?.stringValue == "x")
        #expect(value["b"]?.boolValue == true)
        #expect(value["n"]?.isNull == true)
        #expect(value["a"]?.arrayValue == [1])
        #expect(value["none"] == nil)
        #expect((1 as JSONValue) != (1.0 as JSONValue))
    }

    @Test func nestingIsBoundedWithoutOverflowOnASmallStack() async throws {
        let fits = String(repeating: "[", count: 200) + String(repeating: "]", count: 200)
        let deep = String(repeating: "[", count: 1_000_000)
        let mixed = String(repeating: #"{"a":["#, count: 101)
        await withCheckedContinuation { continuation in
            let thread = Thread {
                #expect(throws: Never.self) { _ = try JSONValue(parsing: fits).redacted().serialized() }
                for text in [deep, mixed] {
                    let error = #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
                    #expect(error?.code == .nestedTooDeeply)
                }
                continuation.resume()
            }
            thread.stackSize = 512 << 10
            thread.start()
        }
        #expect(try JSONValue(parsing: #"["[[[[\"[[[["]"#) == [#"[[[["[[[["#])
    }

    @Test(arguments: [
        ("", JSONError.Code.invalidSyntax), ("{", .invalidSyntax), ("[1,]", .invalidSyntax), ("1 2", .invalidSyntax),
        ("NaN", .invalidSyntax), ("9223372036854775808", .numberOutOfRange), ("1e999", .numberOutOfRange),
        (#""\ud800""#, .invalidUnicode), (#"{"a\u0000": 1}"#, .invalidSyntax),
    ])
    func faultsAreTyped(_ text: String, _ code: JSONError.Code) {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
        #expect(error?.code == code, "\(String(describing: error))")
    }

    @Test func invalidUTF8IsAnError() {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
        #expect(error?.code == .invalidUnicode)
    }

    @Test func errorsNeverQuoteTheText() {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: #"{"auth_password": "hunter2" "x"}"#) }
        #expect(error.map { !String(describing: $0).contains("hunter2") && !$0.message.contains("near") } == true)
        #expect(error?.line == 1)
    }
}
