import Observability
import Testing
import VolumeSwap

@testable import Daemon

@Suite struct WorkerHealthTests {
    static func worker(journal: Duration = .zero) -> WorkerHealth.Worker {
        WorkerHealth.Worker(
            readiness: { [HealthCheck.journal(oldestWait: journal)] },
            vitals: { [Vital(name: "journal", what: "a commit has waited", standstill: journal)] }, updateMetrics: {},
            overview: { ServiceOverview() })
    }

    @Test func aStartThatWaitsSaysForWhat() {
        let health = WorkerHealth()
        health.waits(for: "the disk is full")
        #expect(health.readiness == [HealthCheck("start", ok: false, detail: "the disk is full")])
        #expect(health.isAlive)
        health.runs(Self.worker())
        #expect(health.readiness == [HealthCheck("journal", ok: true)])
        health.stops()
        #expect(health.readiness == [HealthCheck("worker", ok: false, detail: "stopping")])
    }

    @Test func aDiskThatHangsIsNotReadyAtOnceAndNotAliveLater() {
        let health = WorkerHealth()
        health.runs(Self.worker(journal: .seconds(20)))
        #expect(health.readiness.map(\.detail) == ["the disk does not respond: a commit has waited for 20 s"])
        #expect(health.isAlive)
        let later = WorkerHealth()
        later.runs(Self.worker(journal: .seconds(61)))
        #expect(!later.isAlive)
        #expect(later.liveness.filter { !$0.isOK }.map(\.detail) == ["a commit has waited for 61 s"])
    }

    @Test func theWatchdogHearsOfTasksThatGetNoTurn() {
        #expect(Vital(name: "executor", what: "no task", standstill: .seconds(59)).check.isOK)
        #expect(!Vital(name: "executor", what: "no task", standstill: .seconds(60)).check.isOK)
    }
}
