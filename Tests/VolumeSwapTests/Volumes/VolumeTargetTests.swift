import JSON
import Testing

@testable import VolumeSwap

@Suite("connection_info as a place")
struct VolumeTargetTests {
    static let base = "/var/lib/nova/mnt"

    static func connection(_ type: String, _ data: JSONObject, _ beside: JSONObject = [:]) throws -> ConnectionInfo {
        var json: JSONObject = ["driver_volume_type": .string(type), "data": .object(data)]
        for (key, value) in beside { json[key] = value }
        return try ConnectionInfo(json: .object(json), argument: "new_connection_info")
    }

    static func target(_ type: String, _ data: JSONObject, _ beside: JSONObject = [:]) throws -> VolumeTarget {
        try connection(type, data, beside).target(mountPointBase: base, argument: "new_connection_info")
    }

    @Test("Each driver's shape", arguments: ConnectionInfoShapes.names)
    func shapes(name: String) throws {
        let target = try ConnectionInfoShapes.connection(name).target(mountPointBase: Self.base, argument: "a")
        #expect(target == ConnectionInfoShapes.targets[name])
    }

    @Test("device_path takes precedence, except if QEMU needs none", arguments: ["local", "iscsi", "fibre_channel", "vendor"])
    func devicePath(type: String) throws {
        #expect(try Self.target(type, ["device_path": "/dev/sdq"]) == .path("/dev/sdq"))
    }

    @Test("Without a device_path the connector attaches", arguments: ["fibre_channel", "nvmeof", "scaleio", "vendor"])
    func connector(type: String) throws {
        #expect(try Self.target(type, ["volume_id": "v"]) == .connector)
    }

    @Test("Multipath iSCSI without a device goes to the connector")
    func multipath() throws {
        let portals: JSONValue = ["10.0.0.1:3260", "10.0.0.2:3260"]
        let base: JSONObject = ["target_portal": "10.0.0.1:3260", "target_iqn": "iqn.x:y", "target_lun": 1]
        var several = base
        several["target_portals"] = portals
        #expect(try Self.target("iscsi", several) == .connector)
        var identified = base
        identified["multipath_id"] = "3600"
        #expect(try Self.target("iscsi", identified) == .connector)
        var single = base
        single["target_portals"] = ["10.0.0.1:3260"]
        #expect(try Self.target("iscsi", single) != .connector)
    }

    @Test("iSCSI uses a configured connector, unless QEMU's initiator is preferred")
    func attachesISCSI() throws {
        let data: JSONObject = ["target_portal": "h:3260", "target_iqn": "iqn.a:b", "target_lun": 1]
        func target(_ preference: JSONValue?, hasConnector: Bool, prefersQEMU: Bool) throws -> VolumeTarget {
            var data = data
            data["prefer_qemu_initiator"] = preference
            let connection = try Self.connection("iscsi", data)
            let context = DriverContext(
                mountPointBase: Self.base, hasConnector: hasConnector, prefersQEMUInitiator: prefersQEMU, argument: "a")
            return try connection.driver.target(of: connection, context)
        }
        #expect(try target(nil, hasConnector: true, prefersQEMU: false) == .connector)
        #expect(try target(nil, hasConnector: false, prefersQEMU: false) != .connector)
        #expect(try target(nil, hasConnector: true, prefersQEMU: true) != .connector)
        #expect(try target(true, hasConnector: true, prefersQEMU: false) != .connector)
        #expect(try target(false, hasConnector: true, prefersQEMU: true) == .connector)
    }

    @Test("iSCSI's plural members work alone, with one element or several")
    func plurals() throws {
        let one: JSONObject = ["target_portals": ["h:3260"], "target_iqns": ["iqn.a:b"], "target_luns": [3]]
        let hosts = [NetworkLocation.Host(name: "h", port: 3260)]
        #expect(try Self.target("iscsi", one) == .network(NetworkLocation(transport: "iscsi", name: "iqn.a:b/3", hosts: hosts)))
        let several: JSONObject = [
            "target_portals": ["h:3260", "i:3260"], "target_iqns": ["iqn.a:b", "iqn.a:c"], "target_luns": [3, "4"],
        ]
        #expect(try Self.target("iscsi", several) == .connector)
        let paths = ["iqn.a:b/3", "iqn.a:c/4"].map { NetworkLocation(transport: "iscsi", name: $0, hosts: []) }
        let named = paths.map { VolumeIdentity(text: .network($0)) }.reduce(VolumeIdentity()) { $0.union($1) }
        let connection = try Self.connection("iscsi", several)
        #expect(named.names.count == 2 && connection.identity == named)
        #expect(Fixture.failure { _ = try Self.target("iscsi", ["target_portals": []]) }?.kind == .invalidInput)
    }

    @Test("quobyte hashes without its URL scheme; nova's other drivers hash the whole export")
    func exports() throws {
        let plain = MD5.hexDigest("registry.example/volume")
        let url: JSONObject = ["export": "quobyte://registry.example/volume", "name": "v"]
        #expect(try Self.target("quobyte", url) == .path("\(Self.base)/\(plain)/v"))
        #expect(try Self.target("nfs", url) == .path("\(Self.base)/\(MD5.hexDigest("quobyte://registry.example/volume"))/v"))
    }

    @Test("scality has one mount beside nova's others, and sofs_path leads to the file in it")
    func scality() throws {
        #expect(try Self.target("scality", ["sofs_path": "cinder/v"]) == .path("/var/lib/nova/scality/cinder/v"))
        #expect(try Self.target("scality", ["sofs_path": "v", "mount_point_base": "/s"]) == .path("/s/v"))
        for data in [[:], ["sofs_path": "../v"]] as [JSONObject] {
            #expect(Fixture.failure { _ = try Self.target("scality", data) }?.kind == .invalidInput)
        }
    }

    @Test("nova's path on a mounted share comes from beside data, from data, or from the setting")
    func mountPointBase() throws {
        let digest = "38e06e2cc26fef80395e7784073af6b0"
        let data: JSONObject = ["export": "10.0.0.31:/srv/volumes", "name": "volume-9"]
        #expect(try Self.target("nfs", data) == .path("\(Self.base)/\(digest)/volume-9"))
        #expect(try Self.target("nfs", data, ["mount_point_base": "/mnt/a"]) == .path("/mnt/a/\(digest)/volume-9"))
        var inside = data
        inside["mount_point_base"] = "/mnt/b"
        #expect(try Self.target("nfs", inside, ["mount_point_base": "/mnt/a"]) == .path("/mnt/b/\(digest)/volume-9"))
        #expect(try Self.target("vendor_share", data) == .path("\(Self.base)/\(digest)/volume-9"))
    }

    @Test("A share's file name must be a file name", arguments: ["../x", "a/b", "/etc/shadow", ".", "..", ""])
    func fileName(name: String) {
        let failure = Fixture.failure { _ = try Self.target("nfs", ["export": "h:/e", "name": .string(name)]) }
        #expect(failure?.kind == .invalidInput)
    }

    @Test(
        "Portals with IPv6 and group tags",
        arguments: [
            ("10.0.0.1:3260", "10.0.0.1", 3260), ("10.0.0.1:3260,1", "10.0.0.1", 3260), ("[fd00::1]:3260", "fd00::1", 3260),
            ("[fd00::1]:860,2", "fd00::1", 860), ("storage.example:3261", "storage.example", 3261),
        ])
    func portals(portal: String, host: String, port: Int) throws {
        let target = try Self.target("iscsi", ["target_portal": .string(portal), "target_iqn": "iqn.a:b", "target_lun": 7])
        let expected = NetworkLocation(transport: "iscsi", name: "iqn.a:b/7", hosts: [.init(name: host, port: port)])
        #expect(target == .network(expected))
    }

    @Test(
        "Invalid portals are refused",
        arguments: ["", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x", ","])
    func badPortals(portal: String) {
        let data: JSONObject = ["target_portal": .string(portal), "target_iqn": "iqn.a:b", "target_lun": 1]
        #expect(Fixture.failure { _ = try Self.target("iscsi", data) }?.kind == .invalidInput)
    }

    @Test("A LUN may be a number, a string, or a real without a fraction", arguments: [7, "7", 7.0] as [JSONValue])
    func goodLUNs(lun: JSONValue) throws {
        let target = try Self.target("iscsi", ["target_portal": "h:3260", "target_iqn": "iqn.a:b", "target_lun": lun])
        let hosts = [NetworkLocation.Host(name: "h", port: 3260)]
        #expect(target == .network(NetworkLocation(transport: "iscsi", name: "iqn.a:b/7", hosts: hosts)))
    }

    @Test("Invalid LUNs are refused", arguments: [.null, "", "one", "0x1", -1, 16384, 1.5, true] as [JSONValue])
    func badLUNs(lun: JSONValue) {
        let data: JSONObject = ["target_portal": "h:3260", "target_iqn": "iqn.a:b", "target_lun": lun]
        #expect(Fixture.failure { _ = try Self.target("iscsi", data) }?.kind == .invalidInput)
    }

    @Test("rbd: ports as numbers, missing ports, bracketed monitors, no monitors")
    func rbd() throws {
        let target = try Self.target("rbd", ["name": "p/i", "hosts": ["a", "[fd00::2]", "c"], "ports": [6789, "3300"]])
        #expect(
            target
                == .network(
                    NetworkLocation(
                        transport: "rbd", name: "p/i",
                        hosts: [.init(name: "a", port: 6789), .init(name: "fd00::2", port: 3300), .init(name: "c", port: nil)])))
        #expect(try Self.target("rbd", ["name": "p/i"]) == .network(NetworkLocation(transport: "rbd", name: "p/i", hosts: [])))
    }

    @Test(
        "Invalid rbd and nbd volumes are refused",
        arguments: [
            ("rbd", ["name": "image"]), ("rbd", [:]), ("rbd", ["name": 3]), ("rbd", ["name": "p/i", "hosts": [1]]),
            ("rbd", ["name": "p/i", "hosts": ["a"], "ports": ["x"]]), ("rbd", ["name": "p/i", "hosts": ["a"], "ports": [70000]]),
            ("nbd", ["port": 1]), ("nbd", ["host": "h", "port": 0]), ("nbd", ["host": "h", "port": "ten"]),
            ("local", [:]), ("nfs", ["export": "h:/e"]), ("local", ["device_path": "dev/sda"]), ("local", ["device_path": 7]),
            ("nfs", ["export": "h:/e", "name": "v", "mount_point_base": "relative"]),
        ] as [(String, JSONObject)])
    func impossible(type: String, data: JSONObject) {
        #expect(Fixture.failure { _ = try Self.target(type, data) }?.kind == .invalidInput)
    }

    @Test("nbd: the export's name under each key, IPv6, no port")
    func nbd() throws {
        for key in ["export", "export_name", "name"] {
            let target = try Self.target("nbd", ["host": "[::1]", key: "disk"])
            #expect(target == .network(NetworkLocation(transport: "nbd", name: "disk", hosts: [.init(name: "::1", port: nil)])))
        }
    }

    @Test("The format is raw unless stated as qcow2")
    func format() throws {
        #expect(try Self.connection("nfs", [:]).format(argument: "a") == "raw")
        #expect(try Self.connection("nfs", ["format": nil]).format(argument: "a") == "raw")
        #expect(try Self.connection("nfs", ["format": "qcow2"]).format(argument: "a") == "qcow2")
        for bad in ["vmdk", "", "RAW"] as [JSONValue] {
            let connection = try Self.connection("nfs", ["format": bad])
            #expect(Fixture.failure { _ = try connection.format(argument: "a") }?.kind == .invalidInput)
        }
    }
}
