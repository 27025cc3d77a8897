import JSON
import VolumeSwap

/// What `pivotd status` asks the worker.
struct StatusQuery: Sendable {
    /// The id of the one task to show.
    var task: String?
    /// Its UUID, or libvirt's name for it.
    var instance: String?
    var disk: String?
    /// nil for all.
    var states: [String]?
    var volume: String?
    var limit: Int
    /// Whether the newest tasks are listed, whatever their states; else those that have not ended come before others.
    var isInOrderOfArrival: Bool

    static let allStates = SwapPhase.publicStates
    private static let final = SwapPhase.allCases.filter(\.isFinal).map(\.publicState)

    /// The task, or `{"swaps": [...]}`.
    ///
    /// - Throws: ``CommandFailure`` if a call fails or gets no answer.
    func ask(_ session: BusSession, _ reply: ReplyOptions) async throws -> JSONValue {
        if task != nil || disk != nil { return try await reply.call("get_swap", selector, session) }
        if isInOrderOfArrival { return try await reply.call("list_swaps", filter(states, limit), session) }
        var swaps: [JSONValue] = []
        // A swap that has run for long may be older than a hundred that have ended.
        for isFinal in [false, true] {
            let chosen = (states ?? Self.allStates).filter { Self.final.contains($0) == isFinal }
            guard !chosen.isEmpty, swaps.count < limit else { continue }
            let answer = try await reply.call("list_swaps", filter(chosen, limit - swaps.count), session)
            let found = answer["swaps"]?.arrayValue ?? []
            // One may have ended between the two calls.
            let ended = Set(found.compactMap { $0["task_id"]?.stringValue })
            swaps.removeAll { $0["task_id"]?.stringValue.map(ended.contains) ?? false }
            swaps += found
        }
        return ["swaps": .array(swaps)]
    }

    /// The arguments of `get_swap`.
    var selector: JSONObject {
        var args: JSONObject = [:]
        if let task { args["task_id"] = .string(task) }
        if let instance { args["instance"] = JSONArgument.instance(instance) }
        if let disk { args["mountpoint"] = .string(disk) }
        return args
    }

    /// The arguments of `list_swaps`.
    func filter(_ states: [String]?, _ limit: Int) -> JSONObject {
        var args: JSONObject = ["limit": .integer(Int64(limit))]
        if let instance { args["instance"] = JSONArgument.instance(instance) }
        if let states { args["states"] = .array(states.map { .string($0) }) }
        if let volume { args["volume_id"] = .string(volume) }
        return args
    }
}
