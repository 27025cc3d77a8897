import JSON

/// Warnings about what a swap does not carry over.
enum SwapWarnings {
    static func all(
        _ request: SwapRequest, _ disk: DiskDescription, _ saved: SavedStates, _ plan: SwapPlan,
        isStored: Bool
    ) -> [String] {
        [
            unapplied(request.newConnection, disk), dropped(disk), flattened(disk, plan), snapshots(disk, saved, plan),
            checkpoints(saved, plan),
            plan.wasPersistent && !isStored
                ? "disk \(plan.disk) is only in the running domain: it is not added to the stored configuration" : nil,
        ].compactMap { $0 }
    }

    /// Members from which nova derives disk settings. The disk keeps its own.
    private static func unapplied(_ connection: ConnectionInfo, _ disk: DiskDescription) -> String? {
        let data = connection.data
        var members: [String] = []
        if data["qos_specs"]?.objectValue?.isEmpty == false { members.append("qos_specs") }
        if data["access_mode"]?.stringValue == "ro", !disk.isReadOnly { members.append("access_mode") }
        if data["discard"]?.boolValue == true, disk.discard != "unmap" { members.append("discard") }
        if data["cacheable"]?.boolValue == true { members.append("cacheable") }
        members += ["logical_block_size", "physical_block_size"].filter { data[$0]?.isNull == false }
        guard !members.isEmpty else { return nil }
        return
            "new_connection_info: \(members.joined(separator: ", ")) would change the disk and is not applied: it keeps its settings"
    }

    private static func dropped(_ disk: DiskDescription) -> String? {
        guard !disk.droppedElements.isEmpty else { return nil }
        return "the old source's \(disk.droppedElements.joined(separator: ", ")) is not carried over to the new volume"
    }

    private static func flattened(_ disk: DiskDescription, _ plan: SwapPlan) -> String? {
        guard !disk.backing.isEmpty else { return nil }
        return "the chain below \(plan.oldLocation) (\(disk.backing.count) more) is flattened into the new volume"
    }

    /// A qcow2 volume has snapshots in itself, a chain is made of them.
    private static func snapshots(_ disk: DiskDescription, _ saved: SavedStates, _ plan: SwapPlan) -> String? {
        guard saved.hasSnapshots, disk.format == "qcow2" || !disk.backing.isEmpty else { return nil }
        return """
            the snapshots of \(plan.domain.name) stay listed, but cannot be reverted to for disk \(plan.disk): those inside the old volume \
            are not copied; keep it, if they are needed
            """
    }

    private static func checkpoints(_ saved: SavedStates, _ plan: SwapPlan) -> String? {
        guard saved.hasCheckpoints, plan.destination.format == "raw" else { return nil }
        return """
            a raw volume keeps no bitmaps: the checkpoints of \(plan.domain.name) stay listed, but the next backup of disk \
            \(plan.disk) has to be a full one
            """
    }
}
