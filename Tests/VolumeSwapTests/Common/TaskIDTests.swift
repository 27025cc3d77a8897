import Testing

@testable import VolumeSwap

@Suite("Task ids")
struct TaskIDTests {
    @Test("A plain token is kept", arguments: ["3c9d8a4e6d5d4b359b0c1f0c6f1a0001", "a-b-C-9", "x"])
    func plain(text: String) {
        #expect(TaskID(uniqueID: text, messageID: "m")?.text == text)
    }

    @Test("The unique id comes first, then the message id, else there is no id")
    func sources() {
        #expect(TaskID(uniqueID: nil, messageID: "m")?.text == "m")
        #expect(TaskID(uniqueID: "", messageID: "m")?.text == "m")
        #expect(TaskID(uniqueID: "u", messageID: nil)?.text == "u")
        #expect(TaskID(uniqueID: nil, messageID: nil) == nil)
        #expect(TaskID(uniqueID: "", messageID: "") == nil)
    }

    @Test(
        "Anything else becomes a token, always the same",
        arguments: ["a b", "../../x", "ü", "\u{0}", String(repeating: "a", count: 65), "'; DROP"])
    func hashed(text: String) {
        let id = TaskID(uniqueID: text, messageID: nil)
        #expect(id?.text.utf8.count == 32)
        #expect(id?.text.allSatisfy(\.isHexDigit) == true)
        #expect(id == TaskID(uniqueID: text, messageID: "other"))
        #expect(id != TaskID(uniqueID: text + "x", messageID: nil))
    }
}
