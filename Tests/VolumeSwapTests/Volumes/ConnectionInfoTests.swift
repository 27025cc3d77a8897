import JSON
import Testing

@testable import VolumeSwap

@Suite("connection_info")
struct ConnectionInfoTests {
    static func failure(_ json: JSONValue?) -> SwapFailure? {
        Fixture.failure { _ = try ConnectionInfo(json: json, argument: "old_connection_info") }
    }

    @Test(
        "Invalid shapes are refused, naming the argument",
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
        "A member of the wrong type is refused by name, even if it is not read",
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
        "Control characters in what reaches libvirt, a path or a command are refused",
        arguments: ["\u{0}", "\n", "\r", "\t", "\u{1b}", "\u{7f}", "\u{fffe}", "\u{ffff}", "\u{1}"])
    func controlCharacters(character: String) {
        let text = JSONValue.string("/dev/a\(character)b")
        for key in ["device_path", "name", "export", "target_iqn", "auth_username", "auth_password", "volume_id"] {
            #expect(Self.failure(["driver_volume_type": "local", "data": .object([key: text])])?.kind == .invalidInput)
        }
        for key in ["hosts", "ports", "target_portals", "target_iqns", "target_luns"] {
            #expect(Self.failure(["driver_volume_type": "local", "data": .object([key: ["a", text]])])?.kind == .invalidInput)
        }
        for key in ["serial", "mount_point_base"] {
            #expect(Self.failure(["driver_volume_type": "local", "data": [:], key: text])?.kind == .invalidInput)
        }
        #expect(Self.failure(["driver_volume_type": text, "data": [:]])?.kind == .invalidInput)
    }

    @Test("Members that pivotd does not use may hold any string, such as a keyring with line breaks")
    func unusedText() throws {
        let keyring = JSONValue.string("[client.cinder]\n\tkey = x\n" + String(repeating: "k", count: 5000))
        for data in [["keyring": keyring], ["a": ["b": [["c": keyring]]]]] as [JSONValue] {
            let json: JSONValue = ["driver_volume_type": "rbd", "data": data]
            #expect(try ConnectionInfo(json: json, argument: "a").json["data"] == data)
        }
    }

    @Test("A string of a mebibyte is refused and not echoed")
    func hugeText() {
        let failure = Self.failure([
            "driver_volume_type": "rbd", "data": ["name": .string(String(repeating: "a", count: 1 << 20))],
        ])
        #expect(failure?.kind == .invalidInput)
        #expect((failure?.reason.utf8.count ?? .max) < 500)
    }

    @Test(
        "Quotes, tags and Unicode are accepted", arguments: ["a'b\"c", "</source>", "]]>", "&amp;&", "größe/磁盘", "🖴"])
    func harmless(text: String) throws {
        let json: JSONValue = ["driver_volume_type": "rbd", "data": ["name": .string(text)]]
        #expect(try ConnectionInfo(json: json, argument: "a").text("name") == text)
    }

    @Test("The volume's id and flags")
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

    @Test("No form of printing shows a password")
    func printing() throws {
        let connection = try ConnectionInfoShapes.connection("iscsi")
        var dumped = ""
        dump(connection, to: &dumped)
        for text in ["\(connection)", String(reflecting: connection), String(describing: Optional(connection)), dumped] {
            #expect(!text.contains("not-a-real-password"))
        }
    }

    @Test("The result's connection_info is the new one with the old volume's id")
    func settled() throws {
        let old = try VolumeTargetTests.connection("local", ["device_path": "/o"], ["serial": "old"])
        let new = try VolumeTargetTests.connection("local", ["device_path": "/n", "volume_id": "new"], ["serial": "new"])
        let settled = new.replacing(old, oldVolumeID: "ignored", devicePath: "/dev/n")
        #expect(
            JSONValue.object(settled) == [
                "driver_volume_type": "local", "data": ["device_path": "/dev/n", "volume_id": "old"], "serial": "old",
            ])
        let bare = try VolumeTargetTests.connection("rbd", ["name": "p/i"])
        #expect(
            JSONValue.object(bare.replacing(bare, oldVolumeID: "old", devicePath: nil)) == [
                "driver_volume_type": "rbd", "data": ["name": "p/i"], "serial": "old",
            ])
        let byData = try VolumeTargetTests.connection("rbd", ["name": "p/j", "volume_id": "old"])
        #expect(bare.replacing(byData, oldVolumeID: nil, devicePath: nil)["serial"] == "old")
        #expect(bare.replacing(bare, oldVolumeID: nil, devicePath: nil)["serial"] == nil)
    }
}
