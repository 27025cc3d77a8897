import JSON
import Logging
import Observability
import OsloMessaging
import VolumeSwap

/// Logs requests that steer swaps, and who made them.
enum ControlLog {
    /// The members of oslo's context that name somebody; never its token.
    private static let callers = ["user_id", "user", "project_id", "request_id"]

    /// What a line says of a request: the arguments that choose the swap, and the caller.
    static func metadata(_ request: RPCRequest) -> Logger.Metadata {
        var metadata: Logger.Metadata = [:]
        let args = request.args
        if let task = args["task_id"]?.stringValue { metadata[LogKey.taskID] = "\(Echo.cut(task))" }
        if let tasks = args["task_ids"]?.arrayValue {
            metadata["task_ids"] = "\(Echo.cut(tasks.prefix(100).compactMap(\.stringValue).joined(separator: " ")))"
        }
        if let instance = try? InstanceReference(json: args["instance"]) { metadata[LogKey.instance] = "\(instance)" }
        if let disk = try? SwapRequest.disk(mountpoint: args["mountpoint"]) { metadata[LogKey.disk] = "\(disk)" }
        if let limit = args["bandwidth_mib_s"]?.integerValue { metadata["bandwidth_mib_s"] = .stringConvertible(limit) }
        for key in callers {
            // What looks like a secret is masked, whatever its name.
            guard let text = request.context[key]?.redacted().stringValue, !text.isEmpty else { continue }
            metadata[key] = "\(Echo.cut(text))"
        }
        return metadata
    }
}
