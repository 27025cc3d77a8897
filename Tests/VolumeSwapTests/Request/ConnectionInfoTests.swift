import JSON
import OrderedCollections
import Testing

@testable import VolumeSwap

@Suite("connection_info")
struct ConnectionInfoTests {
    static func failure(_ json: JSONValue?) -> SwapFailure? {
        Fixture.failure { _ = try ConnectionInfo(json: json, argument: "old_connection_info") }
    }

    @Test(
        "Shapes that are refused, the argument named",
        arguments: [
            nil, .null, "text", 1, [], [:], ["driver_volume_type": ""], ["driver_volume_type": 1, "data": [:]],
            ["driver_volume_type": "rbd"], ["driver_volume_type": "rbd", "data": nil],
            ["driver_volume_type": "rbd", "data": []], ["driver_volume_type": "rbd", "data": "x"],
            ["driver_volume_type": "rbd", "data": [:], "serial": 1],
            ["driver_volume_type": .string(String(repeating: "x", count: 65)), "data": [:]],
        ] as [JSONValue?])
    func refused(json: JSONValue?) {
        let failure = Self.failure(json)
        #expect(failure?.kind == .invalidInput)
        #expect(failure?.reason.hasPrefix("old_connection_info") == true)
    }

    @Test(
        "A member of the wrong type is refused by its name, wherever it is not read",
        arguments: [
            ("device_path", 7), ("device_path", "dev/sda"), ("name", ["a"]), ("hosts", "10.0.0.1"), ("auth_enabled", "yes"),
            ("auth_password", 5), ("port", 1.5), ("encrypted", "true"), ("format", 1),
        ] as [(String, JSONValue)])
    func wrongTypes(key: String, value: JSONValue) {
        let failure = Self.failure(["driver_volume_type": "fibre_channel", "data": .object([key: value])])
        #expect(failure?.reason.hasPrefix("old_connection_info.data.\(key): must be ") == true)
        #expect(Self.failure(["driver_volume_type": "fibre_channel", "data": .object([key: .null])]) == nil)
    }

    @Test(
        "A control character anywhere in data is refused",
        arguments: ["\u{0}", "\n", "\r", "\t", "\u{1b}", "\u{7f}", "\u{fffe}", "\u{ffff}", "\u{1}"])
    func controlCharacters(character: String) {
        let text = JSONValue.string("/dev/a\(character)b")
        for data in [["device_path": text], ["hosts": ["a", text]], ["a": ["b": [["c": text]]]]] as [JSONValue] {
            #expect(Self.failure(["driver_volume_type": "local", "data": data])?.kind == .invalidInput)
        }
    }

    @Test("A text of a mebibyte is refused, and not repeated")
    func hugeText() {
        let failure = Self.failure([
            "driver_volume_type": "rbd", "data": ["name": .string(String(repeating: "a", count: 1 << 20))],
        ])
        #expect(failure?.kind == .invalidInput)
        #expect((failure?.reason.utf8.count ?? .max) < 500)
    }

    @Test("A key of a mebibyte is not repeated in the reason")
    func hugeKey() {
        let key = String(repeating: "k", count: 1 << 20)
        let failure = Self.failure(["driver_volume_type": "rbd", "data": .object([key: "\u{0}"])])
        #expect((failure?.reason.utf8.count ?? .max) < 500)
    }

    @Test(
        "Quotes, tags and unicode are texts like any other", arguments: ["a'b\"c", "</source>", "]]>", "&amp;&", "größe/磁盘", "🖴"])
    func harmless(text: String) throws {
        let json: JSONValue = ["driver_volume_type": "rbd", "data": ["name": .string(text)]]
        #expect(try ConnectionInfo(json: json, argument: "a").text("name") == text)
    }

    @Test("The volume's id, the flags")
    func members() throws {
        #expect(try ConnectionInfoShapes.connection("rbd").volumeID == "v-1")
        #expect(try ConnectionInfoShapes.connection("iscsi_multipath").volumeID == "v-2")
        #expect(try ConnectionInfoShapes.connection("nbd").volumeID == nil)
        #expect(try ConnectionInfoShapes.connection("multiattach").isMultiattach)
        #expect(try !ConnectionInfoShapes.connection("rbd").isMultiattach)
        #expect(try ConnectionInfoShapes.connection("luks_on_rbd").isEncrypted)
        #expect(try !ConnectionInfoShapes.connection("rbd").isEncrypted)
    }

    @Test("Unknown members are kept")
    func unknown() throws {
        let json: JSONValue = ["driver_volume_type": "rbd", "data": ["vendor": [1, 2]], "connector": ["host": "a"]]
        #expect(JSONValue.object(try ConnectionInfo(json: json, argument: "a").json) == json)
    }

    @Test("No way of printing shows a password")
    func printing() throws {
        let connection = try ConnectionInfoShapes.connection("iscsi")
        var dumped = ""
        dump(connection, to: &dumped)
        for text in ["\(connection)", String(reflecting: connection), String(describing: Optional(connection)), dumped] {
            #expect(!text.contains("not-a-real-password"))
        }
    }
}
