import Synchronization

@testable import VolumeSwap

/// The caller of `pivot_swap`: has the held swaps of an instance pivot, as a group if there are several, until all are over.
final class SimScheduler: @unchecked Sendable {
    unowned let world: SimWorld
    private var isAsking: Set<Int> = []

    init(_ world: SimWorld) { self.world = world }

    func keepPivoting() {
        guard world.tasks.contains(where: \.isHeld) else { return }
        for domain in world.domains { ask(domain) }
        world.loop.after(world.loop.pick(1 * .second...8 * .second)) { [self] in keepPivoting() }
    }

    private func ask(_ domain: SimDomain) {
        guard let pivotd = world.pivotd, pivotd.isConsuming, !isAsking.contains(domain.number) else { return }
        let held = world.tasks.filter { $0.domain === domain && $0.isHeld && $0.outcome == nil && !$0.isWithdrawn }
        let ready = held.filter { task in
            guard let control = pivotd.service.active.withLock({ $0[task.id]?.control }) else { return false }
            return control.isHeld && control.phase == .ready
        }
        guard !ready.isEmpty, ready.count == held.count || world.loop.chance(15) else { return }
        isAsking.insert(domain.number)
        let ids = ready.map(\.id)
        pivotd.spawn { [self] in
            do {
                _ = try await pivotd.service.pivot(ids)
            } catch {
                if pivotd.life.isAlive { world.note("client", "pivot_swap: \(error)") }
            }
            isAsking.remove(domain.number)
        }
    }

    /// A new pivotd knows of no call.
    func forget() { isAsking = [] }
}
