import JSON
import VolumeSwap

extension SwapSelector {
    /// Reads `task_id`, or `instance` and `mountpoint`.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` naming the argument.
    init(args: JSONObject) throws(SwapFailure) {
        if let task = Argument(args, "task_id") {
            self = .task(TaskID(try task.string()))
            return
        }
        guard args["instance"] != nil else {
            throw .invalidInput("task_id: missing, and there is no instance and mountpoint instead")
        }
        self = .disk(try InstanceReference(json: args["instance"]), try SwapRequest.disk(mountpoint: args["mountpoint"]))
    }
}
