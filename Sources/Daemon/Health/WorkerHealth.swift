import Metrics
import Observability
import Synchronization
import VolumeSwap

/// What the health pages show about a worker, from start to exit.
final class WorkerHealth: Sendable {
    /// The worker's own part, available once start-up is complete.
    struct Worker: Sendable {
        /// Why it is not ready, or what an operator should know although it is.
        let readiness: @Sendable () -> [HealthCheck]
        /// What must keep making progress.
        let vitals: @Sendable () -> [Vital]
        /// Updates the gauges.
        let updateMetrics: @Sendable () -> Void
        /// What runs and waits, for the page.
        let overview: @Sendable () -> ServiceOverview
    }

    private enum Phase {
        case starting(waitsFor: String)
        case running(Worker)
        case stopping(Worker?)

        var worker: Worker? {
            switch self {
            case .starting: nil
            case .running(let worker): worker
            case .stopping(let worker): worker
            }
        }
    }

    let executor = ExecutorBeat()
    private let phase = Mutex(Phase.starting(waitsFor: "starting"))

    func waits(for reason: String) {
        phase.withLock { if case .starting = $0 { $0 = .starting(waitsFor: reason) } }
    }

    func runs(_ worker: Worker) {
        phase.withLock { if case .starting = $0 { $0 = .running(worker) } }
    }

    func stops() {
        phase.withLock { phase in phase = .stopping(phase.worker) }
    }

    var readiness: [HealthCheck] {
        switch phase.withLock({ $0 }) {
        case .starting(let reason): [HealthCheck("start", ok: false, detail: reason)]
        case .running(let worker): worker.readiness()
        case .stopping: [HealthCheck("worker", ok: false, detail: "stopping")]
        }
    }

    var liveness: [HealthCheck] {
        let vitals = [executor.vital] + (phase.withLock { $0.worker }?.vitals() ?? [])
        return vitals.map(\.check)
    }

    /// What runs and waits; nil before the start-up is complete.
    var overview: ServiceOverview? { phase.withLock { $0.worker }?.overview() }

    var isAlive: Bool { liveness.allSatisfy(\.isOK) }

    /// Records the gauges, for a scrape.
    func updateMetrics() {
        Gauge(label: "pivotd_ready").record(readiness.allSatisfy(\.isOK) ? 1 : 0)
        phase.withLock { $0.worker }?.updateMetrics()
    }
}
