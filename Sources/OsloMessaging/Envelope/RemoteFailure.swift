package import JSON

/// An exception as sent over the bus; oslo.messaging rebuilds the real Python exception from it.
///
/// Mirrors `serialize_remote_exception` and `deserialize_remote_exception` of `oslo_messaging/_drivers/common.py`.
package struct RemoteFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// The exception's class, for example `DiskNotFound`.
    package let className: String
    /// The class's module, for example `nova.exception`.
    package let module: String
    /// `str(exception)`.
    package let message: String
    /// Positional arguments of the exception.
    package let args: [JSONValue]
    /// Keyword arguments of the exception.
    package private(set) var kwargs: JSONObject = [:]
}

extension RemoteFailure {
    /// The same failure with more keyword arguments.
    package func adding(_ more: JSONObject) -> RemoteFailure {
        var failure = self
        failure.kwargs.merge(more)
        return failure
    }

    /// The failure as a JSON value, with an empty traceback.
    package var json: JSONValue {
        [
            "class": .string(className), "module": .string(module), "message": .string(message), "tb": [],
            "args": .array(args), "kwargs": .object(kwargs),
        ]
    }

    /// The JSON string in a reply's `failure`.
    package func serialized() -> String { json.serialized() }

    /// Parses a reply's `failure`. Any other string becomes the message of a failure without a class.
    package init(parsing text: String) {
        self.init(json: (try? JSONValue(parsing: text)) ?? .string(text))
    }

    /// Reads the JSON value of a reply's `failure`.
    package init(json value: JSONValue) {
        let message = value["message"]?.stringValue ?? value.stringValue ?? "the server gave no message"
        self.init(
            className: value["class"]?.stringValue ?? "RemoteError", module: value["module"]?.stringValue ?? "oslo_messaging",
            message: message, args: value["args"]?.arrayValue ?? [.string(message)], kwargs: value["kwargs"]?.objectValue ?? [:])
    }

    package var description: String { "\(className): \(message)" }
}
