import JSON
import OsloMessaging
import VolumeSwap

/// `list_swaps(instance=null, states=null, limit=100)`
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
        if let instance = args["instance"], !instance.isNull { instanceKey = try InstanceReference(json: instance).key }
        if let value = args["states"], !value.isNull {
            let texts = (value.arrayValue ?? [value]).map(\.stringValue)
            guard texts.allSatisfy({ $0.map(SwapPhase.publicStates.contains) ?? false }) else {
                throw .invalidInput("states: must be among \(SwapPhase.publicStates.joined(separator: ", "))")
            }
            states = Set(texts.compactMap { $0 })
        }
        if let value = args["limit"], !value.isNull {
            guard let number = value.wholeValue, (1...10_000).contains(number) else {
                throw .invalidInput("limit: must be an integer from 1 to 10000")
            }
            limit = Int(number)
        }
    }
}
