import JSON
import OsloMessaging
import VolumeSwap

/// A method on the bus that is answered at once.
protocol SwapMethod: Sendable {
    /// The method's name on the bus.
    static var name: String { get }

    /// Whether it steers swaps, so that the log names who called it.
    static var isControl: Bool { get }

    /// Whether it asks libvirt, a domain, a path or a helper, which may not answer for long.
    static var isSlow: Bool { get }

    /// Reads the arguments.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` that names the argument.
    init(args: JSONObject) throws(SwapFailure)

    /// Carries out the method.
    ///
    /// - Parameter failures: encodes failures in statuses.
    /// - Returns: the result, as JSON.
    /// - Throws: ``SwapFailure``, which the caller gets as nova's exception, or `JournalError`.
    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue
}

extension SwapMethod {
    static var isControl: Bool { false }
    static var isSlow: Bool { false }
}

/// A method that takes no arguments; any others are ignored.
protocol PlainSwapMethod: SwapMethod {
    init()
}

extension PlainSwapMethod {
    init(args: JSONObject) { self.init() }
}
