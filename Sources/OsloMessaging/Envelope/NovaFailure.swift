import JSON

/// Creates failures that a client rebuilds as nova's exceptions (`nova/exception.py`), with nova's own messages.
///
/// `args` holds the complete message: `NovaException.__init__` then keeps it and only stores the keyword arguments.
package struct NovaFailure: Sendable, Hashable {
    /// The Python module of the exceptions' classes; the setting `failure_module`.
    package let module: String

    /// - Parameter module: The Python module of the exceptions' classes.
    package init(module: String = "nova.exception") {
        self.module = module
    }

    /// A copy, pivot, resize or configuration failed.
    package func volumeRebaseFailed(reason: String) -> RemoteFailure {
        failure("VolumeRebaseFailed", "Volume rebase failed: \(reason)", "reason", reason, code: 500)
    }

    /// The instance is unknown to the hypervisor.
    package func instanceNotFound(instanceID: String) -> RemoteFailure {
        failure("InstanceNotFound", "Instance \(instanceID) could not be found.", "instance_id", instanceID, code: 404)
    }

    /// The instance is not running.
    package func instanceNotRunning(instanceID: String) -> RemoteFailure {
        failure("InstanceNotRunning", "Instance \(instanceID) is not running.", "instance_id", instanceID, code: 400)
    }

    /// The instance has no disk with the old volume.
    package func diskNotFound(location: String) -> RemoteFailure {
        failure("DiskNotFound", "No disk at \(location)", "location", location, code: 404)
    }

    /// The request is malformed.
    package func invalidInput(reason: String) -> RemoteFailure {
        failure("InvalidInput", "Invalid input received: \(reason)", "reason", reason, code: 400)
    }

    /// The new volume cannot be used.
    package func invalidVolume(reason: String) -> RemoteFailure {
        failure("InvalidVolume", "Invalid volume: \(reason)", "reason", reason, code: 400)
    }

    private func failure(_ className: String, _ message: String, _ key: String, _ value: String, code: Int64) -> RemoteFailure {
        RemoteFailure(
            className: className, module: module, message: message, args: [.string(message)],
            kwargs: [key: .string(value), "code": .integer(code)])
    }
}
