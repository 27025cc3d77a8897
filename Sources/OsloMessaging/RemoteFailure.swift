package import JSON

/// An exception as it crosses the bus, from which oslo.messaging rebuilds the real Python one.
///
/// Mirrors `serialize_remote_exception` and `deserialize_remote_exception` of `oslo_messaging/_drivers/common.py`.
package struct RemoteFailure: Error, Sendable, Hashable, CustomStringConvertible {
    package let className: String
    package let module: String
    /// What `str(exception)` says.
    package let message: String
    package let args: [JSONValue]
    package let kwargs: JSONObject

    package init(className: String, module: String, message: String, args: [JSONValue], kwargs: JSONObject = [:]) {
        self.className = className
        self.module = module
        self.message = message
        self.args = args
        self.kwargs = kwargs
    }

    /// The same with more keyword arguments.
    package func adding(_ more: JSONObject) -> RemoteFailure {
        RemoteFailure(
            className: className, module: module, message: message, args: args, kwargs: kwargs.merging(more))
    }

    /// The failure as JSON value; the traceback stays empty, a daemon's stack is none of the caller's business.
    package var json: JSONValue {
        [
            "class": .string(className), "module": .string(module), "message": .string(message), "tb": [],
            "args": .array(args), "kwargs": .object(kwargs),
        ]
    }

    /// The JSON text that stands in a reply's `failure`.
    package func serialized() -> String { json.serialized() }

    /// Reads a reply's `failure`. A text of another shape becomes the message of a failure without class.
    package init(parsing text: String) {
        self.init(json: (try? JSONValue(parsing: text)) ?? .string(text))
    }

    package init(json value: JSONValue) {
        let message = value["message"]?.stringValue ?? value.stringValue ?? "the server gave no message"
        self.init(
            className: value["class"]?.stringValue ?? "RemoteError", module: value["module"]?.stringValue ?? "oslo_messaging",
            message: message, args: value["args"]?.arrayValue ?? [.string(message)], kwargs: value["kwargs"]?.objectValue ?? [:])
    }

    package var description: String { "\(className): \(message)" }
}
