package import JSON
package import OsloMessaging
package import VolumeSwap

extension NovaFailure {
    /// The nova exception for a failed swap, with details for programs among its keyword arguments.
    ///
    /// - Parameter args: the arguments of the request that failed, of which the failure may quote only the beginnings.
    package func failure(_ failure: SwapFailure, task: String?, args: JSONObject = [:]) -> RemoteFailure {
        let reason = Echo.cut(failure.reason, quoting: args)
        let remote =
            switch failure.kind {
            case .volumeRebaseFailed: volumeRebaseFailed(reason: reason)
            case .instanceNotFound: instanceNotFound(instanceID: reason)
            case .instanceNotRunning: instanceNotRunning(instanceID: reason)
            case .diskNotFound: diskNotFound(location: reason)
            case .invalidInput: invalidInput(reason: reason)
            case .invalidVolume: invalidVolume(reason: reason)
            }
        return remote.adding([
            "task_id": task.map { .string($0) } ?? .null,
            "reason_code": .string(failure.code.rawValue),
            "retryable": .bool(failure.code.isRetryable),
            "in_use": .string((failure.inUse ?? .unknown).rawValue),
            "left_behind": .array(failure.leftBehind.map { .string(Echo.cut($0, quoting: args)) }),
        ])
    }
}
