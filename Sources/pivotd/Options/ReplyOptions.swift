import ArgumentParser
import JSON

/// How long the worker may take to answer.
struct ReplyOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Seconds to wait for the worker's answer.", valueName: "s"))
    var timeout = Self.usual

    var duration: Duration { .seconds(timeout) }

    func validate() throws {
        guard timeout > 0, timeout <= 1e9 else { throw ValidationError("--timeout: must be a number of seconds above 0") }
    }

    /// The time for a method that takes `limit` by itself, unless another one was asked for.
    func lasting(_ limit: Double) -> ReplyOptions {
        var options = self
        if options.timeout == Self.usual { options.timeout = limit }
        return options
    }

    private static let usual = 10.0

    /// - Throws: ``CommandFailure`` if the call fails or gets no answer.
    func call(_ method: String, _ args: JSONObject, _ session: BusSession) async throws -> JSONValue {
        do {
            return try await session.call(method, args, timeout: duration)
        } catch {
            throw CommandFailure(error)
        }
    }
}
