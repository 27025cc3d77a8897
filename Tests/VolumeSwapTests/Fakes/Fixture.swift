import Foundation
import JSON
import Logging

@testable import VolumeSwap

/// The names and shapes that most of these tests share.
enum Fixture {
    static let uuid = "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0099"
    static let domain = DomainIdentity(uuid: uuid, name: "instance-0000002a")
    static let oldPath = "/volumes/old"
    static let newPath = "/volumes/new"
    static let mebibyte: Int64 = 1 << 20

    static func connection(_ path: String, _ more: JSONObject = [:], serial: String? = nil, type: String = "local") -> JSONValue {
        var data: JSONObject = ["device_path": .string(path)]
        for (key, value) in more { data[key] = value }
        var connection: JSONObject = ["driver_volume_type": .string(type), "data": .object(data)]
        if let serial { connection["serial"] = .string(serial) }
        return .object(connection)
    }

    static func arguments(_ more: JSONObject = [:]) -> JSONObject {
        var arguments: JSONObject = [
            "instance": .string(uuid), "old_connection_info": connection(oldPath, serial: "old-volume"),
            "new_connection_info": connection(newPath, serial: "new-volume"), "mountpoint": "/dev/vdb",
            "old_volume_id": "old-volume", "new_volume_id": "new-volume",
        ]
        for (key, value) in more { arguments[key] = value }
        return arguments
    }

    static func record(
        _ id: String = "task-1", _ more: JSONObject = [:], instanceKey: String = uuid, call: Bool = true
    ) -> SwapRecord {
        SwapRecord(
            id: TaskID(id), instanceKey: instanceKey, disk: "vdb", args: arguments(more),
            replyTo: call ? ReplyTo(messageID: "m-\(id)", queue: "reply", timeout: nil) : nil, acceptedAt: .now)
    }

    static func result(_ id: String) -> SwapResult {
        SwapResult(
            taskID: TaskID(id), instanceUUID: uuid, disk: "vdb", strategy: .copy, hypervisor: "fake", connectionInfo: [:],
            capacityBytes: mebibyte, copiedBytes: mebibyte, duration: 1)
    }

    static func plan(
        strategy: SwapStrategy = .copy, persistent: Bool = true, resizeTo: Int64? = nil, usesSlice: Bool = false,
        newBytes: Int64? = 64 * mebibyte, destination: VolumeSource = VolumeSource(location: .file(newPath), format: "raw")
    ) -> SwapPlan {
        SwapPlan(
            SwapPlanFacts(
                domain: domain, disk: "vdb", strategy: strategy, oldLocation: .file(oldPath), destination: destination,
                oldBytes: 64 * mebibyte, newBytes: newBytes, resizeToBytes: resizeTo, usesSlice: usesSlice,
                wasPersistent: persistent, savedXML: persistent ? domainXML(source: oldPath) : nil, isNewConnected: false,
                madeSecret: nil, options: SwapOptions(), keptElements: [], attempts: 1, warnings: []))
    }

    /// A domain of one disk, as libvirt shows it.
    static func domainXML(
        source: String, mirror: String = "", extra: String = "", format: String = "raw",
        attributes: String = "type='file' device='disk'", place: String? = nil, inSource: String = "", target: String = "vdb"
    ) -> String {
        """
        <domain type='qemu'><name>\(domain.name)</name><uuid>\(uuid)</uuid><devices>\
        <disk \(attributes)><driver name='qemu' type='\(format)' cache='none'/>\
        <source \(place ?? "file='\(source)' dev='\(source)'")>\(inSource)</source>\(mirror)\
        <target dev='\(target)' bus='virtio'/><serial>old-volume</serial></disk>\(extra)</devices></domain>
        """
    }

    static func failure(of body: () throws -> Void) -> SwapFailure? {
        do {
            try body()
            return nil
        } catch {
            return error as? SwapFailure
        }
    }
}
