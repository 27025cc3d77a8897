import Observability
import Synchronization

/// Something of the worker that has to go on all the time, and for how long it has not.
struct Vital: Sendable, Equatable {
    /// Above this `/livez` is 503, and systemd's watchdog hears nothing more.
    static let limit = Duration.seconds(60)

    let name: String
    /// What has stood still, for a sentence that goes on with a time.
    let what: String
    let standstill: Duration

    var check: HealthCheck {
        standstill < Self.limit
            ? HealthCheck(name, ok: true) : HealthCheck(name, ok: false, detail: "\(what) for \(standstill.components.seconds) s")
    }
}

/// Whether Swift's tasks get their turn.
final class ExecutorBeat: Sendable {
    private static let interval = Duration.seconds(1)

    private let last = Mutex(ContinuousClock.now)

    var vital: Vital {
        let age = last.withLock { $0 }.duration(to: .now)
        return Vital(name: "executor", what: "no task has had its turn", standstill: age)
    }

    /// Beats until the task is cancelled.
    func run() async {
        repeat {
            last.withLock { $0 = .now }
        } while (try? await Task.sleep(for: Self.interval)) != nil
    }
}
