import JSON
import OsloMessaging
import VolumeSwap

/// `list_swaps(instance=null, states=null, volume_id=null, task_id_prefix=null, limit=100)`
struct ListSwaps: SwapMethod {
    static let name = "list_swaps"
    private let query: SwapQuery

    init(args: JSONObject) throws(SwapFailure) { query = try SwapQuery(args: args) }

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        ["swaps": .array(try await service.list(query).map { $0.json(failures) })]
    }
}

extension SwapQuery {
    init(args: JSONObject) throws(SwapFailure) {
        self.init()
        if let instance = args["instance"], !instance.isNull { instanceKeys = try InstanceReference(json: instance).keys }
        if let argument = Argument(args, "states") {
            let texts = (argument.value.arrayValue ?? [argument.value]).map(\.stringValue)
            guard texts.allSatisfy({ $0.map(SwapPhase.publicStates.contains) ?? false }) else {
                throw argument.invalid("must be among \(SwapPhase.publicStates.joined(separator: ", "))")
            }
            states = Set(texts.compactMap { $0 })
        }
        volumeID = try Argument(args, "volume_id").map { argument throws(SwapFailure) in try argument.string() }
        idPrefix = try Argument(args, "task_id_prefix").map { argument throws(SwapFailure) in try argument.string() }
        if let argument = Argument(args, "limit") { limit = Int(try argument.integer(1...10_000)) }
    }
}
