import ArgumentParser
import Basics
import JSON
import VolumeSwap

/// Reads JSON values from the command line or from a file.
enum JSONArgument {
    /// Reads `TEXT`, `@FILE` or `@-` (standard input).
    ///
    /// - Throws: A usage error that names the option and never quotes the value: it may hold a password.
    static func object(_ argument: String, option: String) throws -> JSONObject {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: try bytes(argument, option: option))
        } catch let error as JSONError {
            throw ValidationError("\(option): is not JSON: \(error)")
        }
        guard let object = value.objectValue else {
            throw ValidationError("\(option): must be a JSON object, not \(value.typeName)")
        }
        return object
    }

    /// Reads `KEY=VALUE`; the value is JSON if it parses as such, else a string.
    static func member(_ argument: String, option: String) throws -> (key: String, value: JSONValue) {
        guard let mark = argument.firstIndex(of: "="), mark != argument.startIndex else {
            throw ValidationError("\(option): must be KEY=VALUE")
        }
        let text = String(argument[argument.index(after: mark)...])
        return (String(argument[..<mark]), (try? JSONValue(parsing: text)) ?? .string(text))
    }

    /// An instance as a request names it: a UUID as a string, libvirt's name in an object.
    static func instance(_ argument: String) -> JSONValue {
        InstanceReference.isUUID(argument) ? .string(argument) : ["name": .string(argument)]
    }

    private static func bytes(_ argument: String, option: String) throws -> [UInt8] {
        guard argument.hasPrefix("@") else { return Array(argument.utf8) }
        let path = String(argument.dropFirst())
        do {
            return try FileArgument.read(path)
        } catch {
            throw ValidationError("\(option): \(path): \(error)")
        }
    }
}

/// A file that is named on the command line.
enum FileArgument {
    /// Reads all of it; of standard input for `-`.
    static func read(_ path: String) throws(ReadFailure) -> [UInt8] {
        path == "-" ? try readAll(from: 0) : try readAll(path)
    }
}
