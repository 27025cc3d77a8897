package import JSON

extension SwapRequest {
    /// Reads the arguments of a task from before a restart.
    ///
    /// An accepted task is carried through even if this version would refuse it: the plan has what matters.
    ///
    /// - Throws: ``SwapFailure`` if a connection_info is missing, which no version accepts.
    package init(resuming args: JSONObject, _ plan: SwapPlan) throws(SwapFailure) {
        let named = try? InstanceReference(json: args["instance"])
        instance = named ?? InstanceReference(uuid: plan.domain.uuid, name: plan.domain.name)
        oldConnection = try ConnectionInfo(resuming: args["old_connection_info"], argument: "old_connection_info")
        newConnection = try ConnectionInfo(resuming: args["new_connection_info"], argument: "new_connection_info")
        disk = plan.disk
        // A plan's bytes lack a LUKS header.
        resizeToGiB = args["resize_to"]?.wholeValue ?? (plan.resizeToBytes ?? 0) / Self.bytesPerGiB
        oldVolumeID = args["old_volume_id"]?.stringValue
        newVolumeID = args["new_volume_id"]?.stringValue
        options = plan.options
    }
}
