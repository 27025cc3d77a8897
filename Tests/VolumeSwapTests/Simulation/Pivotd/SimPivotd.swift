import Foundation
import Synchronization

@testable import VolumeSwap

/// One incarnation of pivotd: the service with everything around it, from start to death.
final class SimPivotd: @unchecked Sendable {
    let life: SimLife
    let clock: SimClock
    let service: SwapService
    private unowned let world: SimWorld
    private let hypervisor: SimHypervisor
    private var tasks: [Task<Void, Never>] = []
    private(set) var isConsuming = false

    init(_ world: SimWorld, _ life: SimLife) {
        self.world = world
        self.life = life
        clock = SimClock(world.loop, life)
        hypervisor = SimHypervisor(world, life)
        let environment = SwapEnvironment(
            hypervisor: hypervisor, connector: SimConnector(world, life), journal: SimJournal(world, life),
            settings: world.settings,
            observer: SimObserver(), logger: world.logger, clock: clock)
        service = SwapService(environment: environment) { [unowned world] record, replyTo, outcome in
            await world.deliver(life, record, replyTo, outcome)
        }
    }

    func spawn(_ body: @escaping @Sendable () async -> Void) {
        tasks.append(Task(executorPreference: world.loop) { await body() })
    }

    func start() {
        spawn { [self] in await service.run() }
        spawn { [self] in
            do {
                let count = try await service.recover()
                guard life.isAlive else { return }
                world.note("pivotd", "takes up \(count) tasks")
            } catch {
                guard life.isAlive else { return }
                world.note("pivotd", "cannot start: \(error)")
                return life.end()
            }
            await hypervisor.waitUntilConnected()
            guard life.isAlive else { return }
            world.note("pivotd", "is ready")
            spawn { [self] in await service.restoreOrphans() }
            isConsuming = true
            consume()
        }
    }

    func consume() { if isConsuming, life.isAlive { world.broker.deliver(to: self) } }

    /// SIGTERM: stops consuming, leaves copies to the hypervisor, and finishes pivots that take no longer than ten seconds.
    func stop() {
        isConsuming = false
        tasks[0].cancel()
        let run = tasks[0]
        spawn { [self] in
            await run.value
            life.end()
        }
        world.loop.after(10 * .second) { [life] in life.end() }
    }

    /// Unwinds its tasks: their calls throw from now on.
    func die() {
        for task in tasks { task.cancel() }
        tasks = []
        // Breaks a cycle: queued work holds the service, which holds the queues.
        let tickets = service.active.withLock { active in
            defer { active = [:] }
            return active.values.compactMap(\.ticket)
        }
        for ticket in tickets { service.instanceQueue.withdraw(ticket) }
    }
}

struct SimObserver: SwapObserver {
    func started(_ record: SwapRecord, _ plan: SwapPlan) {}
    func entered(_ record: SwapRecord, _ phase: SwapPhase) {}
    func progressed(_ record: SwapRecord, _ plan: SwapPlan, _ progress: SwapProgress, in state: SwapPhase) {}
    func converging(_ record: SwapRecord, _ step: ConvergenceStep) {}
    func pivoting(_ record: SwapRecord, afterReady delay: Duration) {}
    func ended(_ record: SwapRecord, _ outcome: SwapOutcome, duration: Duration, overhead: Duration?) {}
}
