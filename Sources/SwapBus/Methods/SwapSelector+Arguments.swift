import JSON
import VolumeSwap

extension SwapSelector {
    /// `task_id`, or `instance` and `mountpoint`.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput`.
    init(args: JSONObject) throws(SwapFailure) {
        if let value = args["task_id"], !value.isNull {
            guard let text = value.stringValue else { throw .invalidInput("task_id: must be a string") }
            self = .task(TaskID(text))
            return
        }
        guard args["instance"] != nil else {
            throw .invalidInput("task_id: missing, and there is no instance and mountpoint instead")
        }
        self = .disk(try InstanceReference(json: args["instance"]), try SwapRequest.disk(mountpoint: args["mountpoint"]))
    }
}
