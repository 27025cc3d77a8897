import Basics
import Logging

/// What is done about a copy whose remaining bytes do not fall.
extension SwapSteps {
    /// Has the guest's writes go to both volumes from now on; the copy then only has to catch up once.
    func converge(_ plan: SwapPlan) async -> SwapInput {
        logger.notice(
            "the guest writes as fast as the copy copies: the remaining bytes have not fallen for the convergence window")
        return await untilStalled(plan) { [self] in await changeCopy(plan) }
    }

    /// Like ``untilInterrupted(_:_:)``, but storage that hangs meanwhile is a stall, too.
    private func untilStalled(_ plan: SwapPlan, _ body: @escaping @Sendable () async -> SwapInput) async -> SwapInput {
        let limit = plan.options.stallTimeoutS
        guard limit > 0 else { return await untilInterrupted(plan, body) }
        return await untilInterrupted(plan) { [self] in
            let cause =
                "stalled: the copy could not be made to converge within stall_timeout_s, \(Quantity.number(limit)) seconds"
            return await clock.within(.seconds(limit), else: .failed(plan.failure(cause, .stalled)), body)
        }
    }

    private func changeCopy(_ plan: SwapPlan) async -> SwapInput {
        do {
            try await ensure { () async throws(HypervisorError) in
                try await hypervisor.makeCopySynchronous(plan.domain, disk: plan.disk)
            }
            return .done
        } catch is CancellationError {
            return .interrupted
        } catch {
            // A copy that has ended meanwhile is not begun again.
            guard let job = try? await hypervisor.blockJobInfo(plan.domain, disk: plan.disk), job.isCopy else {
                return .interrupted
            }
            let why = "\(error)"
            // That would take as long as the first time, for one that lacks little.
            guard control.marks.readyAt == nil else {
                return .cannotConverge("\(why), and a copy that has been in sync is not begun again")
            }
            guard let obstacle = await obstacleToBeginningAgain(plan) else {
                logger.notice(
                    "the running copy cannot be changed, so it is ended and begun again with synchronous writes: \(why)")
                return .mustBeginAgain
            }
            return .cannotConverge(why == obstacle ? why : "\(why), and \(obstacle)")
        }
    }

    /// Why the copy cannot be begun again with synchronous writes; nil if it can.
    private func obstacleToBeginningAgain(_ plan: SwapPlan) async -> String? {
        if plan.options.strategy == .rebase { return "the request demands the strategy rebase, which has no synchronous writes" }
        do {
            return try await hypervisor.obstacleToSynchronousWrites(of: plan.domain)
        } catch {
            return "it is not known whether it could begin again with synchronous writes: \(error)"
        }
    }

    /// Ends the copy, to begin it again.
    func endCopy(_ plan: SwapPlan) async -> SwapInput {
        environment.budget.endCopy(record.id)
        return await untilStalled(plan) { [self] in
            await subscribe(plan.domain)
            do throws(SwapFailure) {
                guard let input = try await endStaleCopy(plan) else { return .done }
                return input
            } catch {
                return .failed(error)
            }
        }
    }
}
