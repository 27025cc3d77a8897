import Foundation
import JSON
import Testing

@testable import BulkMove

@Suite("A plan")
struct MovePlanTests {
    private func problems(_ lines: String...) -> [String] {
        do throws(MovePlanError) {
            _ = try MovePlan(lines.joined(separator: "\n").utf8)
            return []
        } catch {
            return error.description.split(separator: "\n").map(String.init)
        }
    }

    @Test("Blank lines and comments are skipped, and count")
    func comments() throws {
        let text = "# night shift\n\n  \t\n\(Sample.text(1))\r\n   # more\n\(Sample.text(2))"
        let plan = try MovePlan(text.utf8)
        #expect(plan.lines.map(\.number) == [4, 6])
        #expect(plan.lines.map(\.host) == ["compute1", "compute1"])
        #expect(plan.lines.map(\.disk) == ["vdb", "vdb"])
    }

    @Test("Every fault is reported with its line's number")
    func faults() {
        let told = problems(
            "{", "[]", Sample.text(1, ["host": nil]), Sample.text(2, ["host": ""]), Sample.text(3, ["host": "a b"]),
            Sample.text(4, ["mountpoint": "/etc/passwd"]), Sample.text(5, ["speed": 1]), Sample.text(6, ["request_token": "x"]),
            Sample.text(7, ["options": ["speed": 1]]), Sample.text(8, ["instance": nil]), Sample.text(9))
        #expect(told.map { $0.prefix { $0 != ":" } } == (1...10).map { "line \($0)" })
        #expect(told[1].contains("JSON object") && told[2].contains("host") && told[5].contains("mountpoint"))
        #expect(told[6].contains("speed") && told[7].contains("request_token") && told[9].contains("instance"))
    }

    @Test("An error never quotes a line that is not JSON")
    func secrets() {
        #expect(!problems(#"{"auth_password": "s3cret" oops"#).joined().contains("s3cret"))
    }

    @Test("A plan without lines is an error")
    func empty() {
        #expect(problems("", "# nothing") == ["the plan has no lines"])
    }

    @Test("Equal lines name both numbers, however they are written")
    func duplicates() throws {
        let line = Sample.line(1)
        let reversed = JSONValue.object(JSONObject(line.reversed().map { ($0.key, $0.value) })).serialized(indent: 0)
        #expect(problems(Sample.text(1), "", reversed) == ["lines 1 and 3 are equal, or have the same request_token"])
        let token = "0B6F2D57-6f0f-4f7d-8a3e-0d5c9f1f1a01"
        let told = problems(
            Sample.text(1, ["request_token": .string(token)]), Sample.text(2, ["request_token": .string(token.lowercased())]))
        #expect(told == ["lines 1 and 2 are equal, or have the same request_token"])
    }

    @Test("Two lines cannot move one disk, nor onto one volume, nor onto a volume that another line frees")
    func conflicts() {
        let twice = Sample.text(2, ["instance": Sample.line(1)["instance"]])
        #expect(problems(Sample.text(1), twice) == ["lines 1 and 2 move the same disk"])
        let same = Sample.text(2, ["new_volume_id": "new1", "host": "compute2"])
        #expect(problems(Sample.text(1), same) == ["lines 1 and 2 move to the same volume"])
        let told = problems(Sample.text(1), Sample.text(2, ["new_volume_id": "old1"]))
        #expect(told == ["line 2 moves to the volume that line 1 moves away from"])
        #expect(problems(Sample.text(1, ["new_volume_id": "old1"])) == ["line 1: the old and the new volume are the same"])
    }

    @Test("Ids are compared in either case")
    func letterCase() {
        #expect(
            problems(Sample.text(1), Sample.text(2, ["new_volume_id": "NEW1"])) == ["lines 1 and 2 move to the same volume"])
        #expect(
            problems(Sample.text(1), Sample.text(2, ["new_volume_id": "OLD1"]))
                == ["line 2 moves to the volume that line 1 moves away from"])
    }

    /// A connection_info without an id.
    private static func info(_ type: String, _ data: JSONObject) -> JSONValue {
        ["driver_volume_type": .string(type), "data": .object(data)]
    }

    private static let share = info("nfs", ["export": "192.0.2.20:/volumes", "name": "v"])
    private static let target = info(
        "iscsi", ["target_portal": "192.0.2.1:3260", "target_iqn": "iqn.2010-10.a:t", "target_lun": 1])
    private static let image = info("rbd", ["name": "volumes/v", "hosts": ["a"]])
    private static let export = info("nbd", ["host": "192.0.2.1", "port": 10809, "export": "v"])
    /// Volumes that have their names on every host.
    private static let shared = [
        share, image, export, target, info("nfs", ["device_path": "/mnt/v"]), info("glusterfs", ["device_path": "/mnt/v"]),
        info("scality", ["sofs_path": "v"]), info("other", ["export": "192.0.2.20:/volumes", "name": "v"]),
    ]
    /// Volumes whose names are those of a host.
    private static let local = [
        info("local", ["device_path": "/dev/vg/v"]), info("file", ["device_path": "/srv/v"]),
        info("lvm", ["device_path": "/dev/vg/v"]), info("other", ["device_path": "/dev/sdx"]),
        info("nbd", ["host": "localhost", "export": "v"]), info("nbd", ["host": "/run/nbd.sock", "export": "v"]),
    ]

    /// The problems of two lines that move to this place, one on compute1 and one on this host.
    private func problems(_ place: JSONValue, host: String, ids: [JSONValue?] = [nil, nil]) -> [String] {
        problems(
            Sample.text(1, ["new_connection_info": place, "new_volume_id": ids[0]]),
            Sample.text(2, ["new_connection_info": place, "new_volume_id": ids[1], "host": .string(host)]))
    }

    @Test("Without ids, shared storage is one volume on all hosts", arguments: shared)
    func sharedPlaces(place: JSONValue) {
        #expect(problems(place, host: "compute1") == ["lines 1 and 2 move to the same volume"])
        #expect(problems(place, host: "compute2") == ["lines 1 and 2 move to the same volume"])
    }

    @Test("A host's path is a volume of that host alone", arguments: local)
    func localPlaces(place: JSONValue) {
        #expect(problems(place, host: "compute1") == ["lines 1 and 2 move to the same volume"])
        #expect(problems(place, host: "compute2") == [])
    }

    @Test("Ids do not make two volumes of one place")
    func placesWithIDs() {
        for place in [Self.share, Self.image, Self.export] {
            #expect(problems(place, host: "compute2", ids: ["a", "b"]) == ["lines 1 and 2 move to the same volume"])
        }
    }

    @Test("A LUN with another id on another host is another volume, as arrays may number them for each host")
    func numberedLUNs() {
        #expect(problems(Self.target, host: "compute2", ids: ["a", "b"]) == [])
        #expect(problems(Self.target, host: "compute2", ids: ["a", "A"]) == ["lines 1 and 2 move to the same volume"])
        #expect(problems(Self.target, host: "compute1", ids: ["a", "b"]) == ["lines 1 and 2 move to the same volume"])
    }

    @Test("A place that another line frees, or the line itself")
    func freedPlaces() {
        let leaving = Sample.text(1, ["old_connection_info": Self.image, "old_volume_id": nil])
        let following = Sample.text(2, ["new_connection_info": Self.image, "host": "compute2"])
        #expect(problems(leaving, following) == ["line 2 moves to the volume that line 1 moves away from"])
        let same = Sample.text(1, ["old_connection_info": Self.image, "new_connection_info": Self.image])
        #expect(problems(same) == ["line 1: the old and the new volume are the same"])
    }
}

@Suite("A line of a plan")
struct MoveLineTests {
    @Test("Its token is a UUID that depends on what the line says, not on how it is written, nor on its secrets")
    func token() throws {
        func token(_ changes: [String: JSONValue?] = [:]) throws -> String { try Sample.made(1, changes).taskID(attempt: 1) }
        let first = try token()
        #expect(UUID(uuidString: first) != nil && first.dropFirst(14).first == "8")
        #expect(try first == token() && first == token(["request_token": nil]))
        #expect(try first == token(["request_token": .null]))
        #expect(try first != token(["host": "compute2"]) && first != token(["resize_to": 5]))
        var info = try #require(Sample.line(1)["new_connection_info"]?["data"]?.objectValue)
        info["auth_password"] = "renewed"
        let renewed: JSONValue = ["driver_volume_type": "lvm", "serial": "new1", "data": .object(info)]
        #expect(try first == token(["new_connection_info": renewed]))
    }

    @Test("Each attempt has a token of its own; the first has the line's")
    func attempts() throws {
        let own = "0b6f2d57-6f0f-4f7d-8a3e-0d5c9f1f1a01"
        let line = try Sample.made(1, ["request_token": .string(own.uppercased())])
        let tokens = (1...4).map { line.taskID(attempt: $0) }
        #expect(tokens[0] == own && Set(tokens).count == 4)
        #expect(line.arguments(attempt: 2)["request_token"] == .string(tokens[1]))
        #expect(line.checkArguments["request_token"] == nil && line.checkArguments["host"] == nil)
        #expect(Set(line.arguments(attempt: 1).keys) == Set(Sample.line(1).keys).subtracting(["host"]).union(["request_token"]))
    }

    @Test("The volumes' ids come from the arguments, else from the connection_infos")
    func ids() throws {
        let line = try Sample.made(1, ["old_volume_id": nil, "new_volume_id": .null])
        #expect(line.oldVolumeID == "old1" && line.newVolumeID == "new1")
        #expect(try Sample.made(1, ["old_volume_id": "x"]).oldVolumeID == "x")
    }
}
