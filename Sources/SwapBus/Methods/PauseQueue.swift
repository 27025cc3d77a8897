import JSON
import OsloMessaging
import VolumeSwap

/// `pause_queue()`
struct PauseQueue: QueueMethod {
    static let name = "pause_queue"
    static let pauses = true
}

/// `resume_queue()`
struct ResumeQueue: QueueMethod {
    static let name = "resume_queue"
    static let pauses = false
}

/// `drain()`: pauses, for maintenance; ask again until nothing runs.
struct Drain: QueueMethod {
    static let name = "drain"
    static let pauses = true
}

/// Pauses or resumes the queue, and returns how many swaps run and wait.
protocol QueueMethod: PlainSwapMethod {
    /// Whether the queue is paused from then on.
    static var pauses: Bool { get }
}

extension QueueMethod {
    static var isControl: Bool { true }

    func call(_ service: SwapService, _ failures: NovaFailure) async -> JSONValue {
        service.isPaused = Self.pauses
        return ["running": .integer(Int64(service.running)), "queued": .integer(Int64(service.queued))]
    }
}
