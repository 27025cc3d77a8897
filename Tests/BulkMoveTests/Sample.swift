import JSON

@testable import BulkMove

/// Lines of plans, and what workers say of them.
enum Sample {
    /// A line's object; nil removes a member.
    static func line(_ number: Int, _ changes: [String: JSONValue?] = [:]) -> JSONObject {
        func info(_ id: String) -> JSONValue {
            let data: JSONValue = ["device_path": .string("/dev/vg/\(id)"), "auth_password": "s3cret"]
            return ["driver_volume_type": "lvm", "serial": .string(id), "data": data]
        }
        let digits = String(number)
        var line: JSONObject = [
            "host": "compute1",
            "instance": .string("00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits),
            "mountpoint": "/dev/vdb", "old_connection_info": info("old\(number)"), "new_connection_info": info("new\(number)"),
            "old_volume_id": .string("old\(number)"), "new_volume_id": .string("new\(number)"),
        ]
        for (key, value) in changes { line[key] = value }
        return line
    }

    static func text(_ number: Int, _ changes: [String: JSONValue?] = [:]) -> String {
        JSONValue.object(line(number, changes)).serialized()
    }

    static func made(_ number: Int, _ changes: [String: JSONValue?] = [:]) throws -> MoveLine {
        try MoveLine(line(number, changes), number: number)
    }

    static func status(
        _ state: String, _ code: String? = nil, inUse: String? = nil, retryable: Bool = false, leftBehind: [JSONValue] = [],
        hypervisor: String = "libvirt"
    ) -> MoveStatus {
        let failure: JSONValue = [
            "message": "it failed", "kwargs": ["retryable": .bool(retryable), "left_behind": .array(leftBehind)],
        ]
        return MoveStatus([
            "state": .string(state), "reason_code": code.map { .string($0) } ?? .null,
            "in_use": inUse.map { .string($0) } ?? .null, "hypervisor": .string(hypervisor),
            "failure": code == nil ? .null : failure, "result": ["warnings": []],
        ])
    }
}
