import Observability
import Synchronization

/// A part of the worker that must keep making progress, and for how long it has not.
struct Vital: Sendable, Equatable {
    /// Above this, `/livez` is 503 and systemd's watchdog is no longer fed.
    static let limit = Duration.seconds(60)

    let name: String
    /// What is stuck, as the beginning of a sentence that ends with a duration.
    let what: String
    let standstill: Duration

    var check: HealthCheck {
        standstill < Self.limit
            ? HealthCheck(name, ok: true) : HealthCheck(name, ok: false, detail: "\(what) for \(standstill.components.seconds) s")
    }
}

/// Measures whether Swift tasks get to run.
final class ExecutorBeat: Sendable {
    private static let interval = Duration.seconds(1)

    private let last = Mutex(ContinuousClock.now)

    var vital: Vital {
        let age = last.withLock { $0 }.duration(to: .now)
        return Vital(name: "executor", what: "no task has run", standstill: age)
    }

    /// Beats until the task is cancelled.
    func run() async {
        repeat {
            last.withLock { $0 = .now }
        } while (try? await Task.sleep(for: Self.interval)) != nil
    }
}
