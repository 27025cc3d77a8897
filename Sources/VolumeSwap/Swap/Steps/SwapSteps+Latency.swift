import Budgets
import Logging

/// Keeping the guest's requests short while its disk is copied.
extension SwapSteps {
    /// The guest's mean request time before the copy in milliseconds; nil if no budget needs it, it made no requests, or its
    /// statistics cannot be read.
    func latencyBefore(_ plan: SwapPlan) async throws -> Double? {
        guard case .factor? = plan.options.guestLatencyBudget else { return nil }
        do {
            let before = try await hypervisor.blockStatistics(plan.domain, disk: plan.disk)
            try await clock.sleep(for: environment.settings.latencyWindow)
            return try await hypervisor.blockStatistics(plan.domain, disk: plan.disk).meanMilliseconds(since: before)
        } catch let error as HypervisorError {
            logger.warning("guest_latency_budget: the latency before the copy is not known: \(error)")
            return nil
        }
    }

    /// What steers the copy's speed; nil without a budget.
    func governor(_ plan: SwapPlan) -> LatencyGovernor? {
        plan.options.guestLatencyBudget.map { LatencyGovernor($0, baseline: plan.guestLatency, bytes: plan.oldBytes) }
    }

    /// The guest's counters, with those of the copy.
    func latencySample(_ plan: SwapPlan, _ job: BlockJobInfo) async -> LatencyGovernor.Sample? {
        guard plan.options.guestLatencyBudget != nil,
            let counters = try? await hypervisor.blockStatistics(plan.domain, disk: plan.disk)
        else { return nil }
        return LatencyGovernor.Sample(
            requests: counters.requests, nanoseconds: counters.nanoseconds, copied: job.cursor, at: clock.now)
    }

    /// With so few bytes left the copy is let run: at a low speed a guest that never rests would keep it from being in sync.
    private static let lastBytes: Int64 = 4 << 20

    /// Gives the copy the speed at which the guest's requests stay within their budget.
    func steer(_ governor: inout LatencyGovernor?, _ sample: MirrorWatch.Sample) {
        guard let job = sample.job, governor != nil, !control.isHeld else { return }
        let isLast = job.isMeasured && job.remaining <= Self.lastBytes
        var isBlind = false
        if let latency = sample.latency {
            governor?.take(latency)
        } else {
            isBlind = governor?.miss(at: clock.now) ?? false
        }
        if isBlind { remark("guest_latency_budget: the disk's statistics cannot be read, so the copy goes without it") }
        environment.budget.changeCopy(record.id, ceiling: isLast || isBlind ? 0 : governor?.ceiling ?? 0)
    }
}
