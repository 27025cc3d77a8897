import JSON
import OsloMessaging
import VolumeSwap

/// A method of the bus that is answered at once: its name, its arguments, its call and its result.
protocol SwapMethod: Sendable {
    static var name: String { get }

    /// Reads the arguments.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` that names the argument.
    init(args: JSONObject) throws(SwapFailure)

    /// - Throws: ``SwapFailure`` that the caller gets as nova's exception; `JournalError`.
    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue
}
