package import JSON

/// The result of a successful swap.
///
/// ``connectionInfo`` holds credentials, so the result prints only as an outline.
package struct SwapResult: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    package var taskID: TaskID
    package var instanceUUID: String
    /// The disk's target, such as `vdb`.
    package var disk: String
    package var oldVolumeID: String?
    package var newVolumeID: String?
    /// How the copy was done.
    package var strategy: SwapStrategy
    /// ``Hypervisor/kind``
    package var hypervisor: String
    /// The new connection_info as received, which is the instance's from now on.
    package var connectionInfo: JSONObject
    /// The size in bytes that the guest sees.
    package var capacityBytes: Int64
    /// Bytes copied, guest writes included.
    package var copiedBytes: Int64
    /// Seconds since the task was started.
    package var duration: Double
    /// Number of times the copy was started.
    package var attempts: Int64 = 1
    /// Whether the disk grew to the requested size; nil if no growth was requested.
    package var resized: Bool?
    /// What an operator should know, such as settings not carried over.
    package var warnings: [String] = []

    package var description: String { "result of task \(taskID), disk \(disk)" }
    package var customMirror: Mirror { Mirror(self, children: ["result": description]) }
}

extension SwapResult {
    /// The result as JSON, as it is sent over the bus and stored in the journal.
    package var json: JSONValue {
        [
            "task_id": .string(taskID.text),
            "instance_uuid": .string(instanceUUID),
            "disk": .string(disk),
            "old_volume_id": oldVolumeID.map(JSONValue.string) ?? .null,
            "new_volume_id": newVolumeID.map(JSONValue.string) ?? .null,
            "strategy": .string(strategy.rawValue),
            "hypervisor": .string(hypervisor),
            "connection_info": .object(connectionInfo),
            "capacity_bytes": .integer(capacityBytes),
            "copied_bytes": .integer(copiedBytes),
            "duration_s": .real((duration * 1000).rounded() / 1000),
            "attempts": .integer(attempts),
            "resized": resized.map(JSONValue.bool) ?? .null,
            "warnings": .array(warnings.map(JSONValue.string)),
        ]
    }

    /// Reads what ``json`` wrote; nil for anything else.
    package init?(json: JSONValue) {
        guard let task = json["task_id"]?.stringValue, let instance = json["instance_uuid"]?.stringValue,
            let disk = json["disk"]?.stringValue,
            let strategy = json["strategy"]?.stringValue.flatMap(SwapStrategy.init(rawValue:)),
            let hypervisor = json["hypervisor"]?.stringValue, let connection = json["connection_info"]?.objectValue,
            let capacity = json["capacity_bytes"]?.integerValue, let copied = json["copied_bytes"]?.integerValue,
            let duration = json["duration_s"]?.doubleValue, let attempts = json["attempts"]?.integerValue
        else { return nil }
        self.init(
            taskID: TaskID(task), instanceUUID: instance, disk: disk, oldVolumeID: json["old_volume_id"]?.stringValue,
            newVolumeID: json["new_volume_id"]?.stringValue, strategy: strategy, hypervisor: hypervisor,
            connectionInfo: connection, capacityBytes: capacity, copiedBytes: copied, duration: duration, attempts: attempts,
            resized: json["resized"]?.boolValue, warnings: json["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? [])
    }

    /// The result with the secrets that a settled record has lost, taken from the arguments of its message.
    func restoringSecrets(from args: JSONObject) -> SwapResult {
        guard let new = args["new_connection_info"]?.objectValue, var data = new["data"]?.objectValue else { return self }
        for key in ["device_path", "volume_id"] {
            if let value = connectionInfo["data"]?[key] { data[key] = value }
        }
        var result = self
        result.connectionInfo = new
        if let serial = connectionInfo["serial"] { result.connectionInfo["serial"] = serial }
        result.connectionInfo["data"] = .object(data)
        return result
    }
}
