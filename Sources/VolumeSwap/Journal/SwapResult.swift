package import JSON

/// What a swap reports that has succeeded.
///
/// Holds credentials in ``connectionInfo``: its printed form is an outline.
package struct SwapResult: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    package var taskID: TaskID
    package var instanceUUID: String
    package var disk: String
    package var oldVolumeID: String?
    package var newVolumeID: String?
    package var strategy: SwapStrategy
    /// ``Hypervisor/kind``
    package var hypervisor: String
    /// The new connection_info as it was received, as the instance has it from now on.
    package var connectionInfo: JSONObject
    /// What the guest sees, bytes.
    package var capacityBytes: Int64
    package var copiedBytes: Int64
    /// Seconds from the start.
    package var duration: Double
    package var attempts: Int64
    /// Nil when no growth was asked for.
    package var resized: Bool?
    package var warnings: [String]

    package init(
        taskID: TaskID, instanceUUID: String, disk: String, oldVolumeID: String? = nil, newVolumeID: String? = nil,
        strategy: SwapStrategy, hypervisor: String, connectionInfo: JSONObject, capacityBytes: Int64, copiedBytes: Int64,
        duration: Double, attempts: Int64 = 1, resized: Bool? = nil, warnings: [String] = []
    ) {
        self.taskID = taskID
        self.instanceUUID = instanceUUID
        self.disk = disk
        self.oldVolumeID = oldVolumeID
        self.newVolumeID = newVolumeID
        self.strategy = strategy
        self.hypervisor = hypervisor
        self.connectionInfo = connectionInfo
        self.capacityBytes = capacityBytes
        self.copiedBytes = copiedBytes
        self.duration = duration
        self.attempts = attempts
        self.resized = resized
        self.warnings = warnings
    }

    package var description: String { "result of task \(taskID), disk \(disk)" }
    package var customMirror: Mirror { Mirror(self, children: ["result": description]) }
}

extension SwapResult {
    /// The one form in which it goes over the bus and into the journal.
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

    /// Nil for what ``json`` did not write.
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

    /// The same with the secrets that a settled record has lost, from the arguments of its message.
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
