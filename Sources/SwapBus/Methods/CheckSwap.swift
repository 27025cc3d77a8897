import JSON
import OsloMessaging
import VolumeSwap

/// `check_swap(…the arguments of swap_volume)`
struct CheckSwap: SwapMethod {
    static let name = "check_swap"
    static let isSlow = true
    private let args: JSONObject

    /// Refuses nothing: arguments that cannot be read are a result, like every other reason to refuse the swap.
    init(args: JSONObject) { self.args = args }

    func call(_ service: SwapService, _ failures: NovaFailure) async -> JSONValue {
        await service.check(args).json(failures, args)
    }
}

extension SwapCheck {
    /// The result on the bus.
    ///
    /// - Parameter args: the arguments that were checked.
    func json(_ failures: NovaFailure, _ args: JSONObject = [:]) -> JSONValue {
        [
            "acceptable": .bool(isAcceptable),
            "failure": failure.map { failures.failure($0, task: nil, args: args).json } ?? .null,
            "strategy": strategy.map { .string($0.rawValue) } ?? .null,
            "disk": disk.map { .string($0) } ?? .null,
            "old_bytes": oldBytes.map { .integer($0) } ?? .null,
            "new_bytes": newBytes.map { .integer($0) } ?? .null,
            "will_grow": .bool(willGrow),
            "already_moved": .bool(isAlreadyMoved),
            "adoptable": .bool(isAdoptable),
            "estimate_s": estimate.map { .tenths($0) } ?? .null,
            "warnings": .array(warnings.map { .string($0) }),
        ]
    }
}
