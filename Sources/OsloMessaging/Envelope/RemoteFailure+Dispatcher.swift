import JSON

/// The exceptions of `oslo_messaging/rpc/dispatcher.py`, as a real server sends them.
extension RemoteFailure {
    private static let dispatcherModule = "oslo_messaging.rpc.dispatcher"

    /// No endpoint has this method.
    package static func noSuchMethod(_ method: String) -> RemoteFailure {
        dispatcher("NoSuchMethod", "Endpoint does not support RPC method \(Echo.cut(method))")
    }

    /// No endpoint serves this interface version, or this namespace.
    package static func unsupportedVersion(_ version: String, method: String) -> RemoteFailure {
        dispatcher(
            "UnsupportedVersion",
            "Endpoint does not support RPC version \(Echo.cut(version)). Attempted method: \(Echo.cut(method))")
    }

    private static func dispatcher(_ className: String, _ message: String) -> RemoteFailure {
        RemoteFailure(className: className, module: dispatcherModule, message: message, args: [.string(message)])
    }
}
