import ArgumentParser
import Capture

/// The capture files that a command reads.
struct CaptureFileArguments: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "Capture files, compressed or not, rabtap's JSON files or JSON logs of RabbitMQ's tracing plugin; - is standard input.",
            valueName: "file"),
        completion: .file(extensions: ["jsonl", "gz", "json", "log"]))
    var files: [String]

    @Option(
        name: .customLong("filter"),
        help: ArgumentHelp(
            "Only messages that match: method=swap_volume and instance=UUID, volume~ID or time>=2026-11-23T10:00:00Z. Keys are "
                + "method, kind, instance, disk, volume, exchange, routing_key, time; given several times, all must match.",
            valueName: "expr"))
    var filters: [String] = []

    @Option(help: ArgumentHelp("Only the first N messages.", valueName: "n"))
    var limit: Int?

    @Flag(help: "Stop at the first line that cannot be read, instead of skipping it.")
    var strict = false

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit: must be at least 1") }
        _ = try parsedFilters()
    }

    func parsedFilters() throws -> [CaptureFilter] { try usage { try filters.map { try CaptureFilter(parsing: $0) } } }

    /// Opens all files, so that a wrong name is reported before anything is done.
    ///
    /// - Throws: A usage error.
    func open() throws -> [CaptureReader] {
        do {
            return try files.map { try CaptureReader(path: $0) }
        } catch {
            throw CommandFailure(.usage, "\(error)")
        }
    }
}

/// Rethrows an error in an option's value as a usage error.
func usage<Value>(_ work: () throws -> Value) throws -> Value {
    do {
        return try work()
    } catch let error as CaptureError where error.code == .usage {
        throw ValidationError("--\(error)")
    }
}
