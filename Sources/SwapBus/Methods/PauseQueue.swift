import JSON
import OsloMessaging
import VolumeSwap

/// `pause_queue()`
struct PauseQueue: SwapMethod {
    static let name = "pause_queue"
    static let isControl = true

    init(args: JSONObject) throws(SwapFailure) {}

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        service.isPaused = true
        return service.queueState
    }
}

/// `resume_queue()`
struct ResumeQueue: SwapMethod {
    static let name = "resume_queue"
    static let isControl = true

    init(args: JSONObject) throws(SwapFailure) {}

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        service.isPaused = false
        return service.queueState
    }
}

/// `drain()`: pauses, for maintenance; ask again until nothing runs.
struct Drain: SwapMethod {
    static let name = "drain"
    static let isControl = true

    init(args: JSONObject) throws(SwapFailure) {}

    func call(_ service: SwapService, _ failures: NovaFailure) async throws -> JSONValue {
        service.isPaused = true
        return service.queueState
    }
}

extension SwapService {
    fileprivate var queueState: JSONValue { ["running": .integer(Int64(running)), "queued": .integer(Int64(queued))] }
}
