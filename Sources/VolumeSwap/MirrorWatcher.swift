import Foundation
import Logging

/// Waits until the mirror is in step: by libvirt's event, with a look at the job now and then as the net under lost events.
struct MirrorWatcher {
    let steps: SwapSteps
    let events: HypervisorEvents
    /// When the copy was asked for.
    var copyBegan: ContinuousClock.Instant?
    /// When the job was first seen to be gone; its events may still be on their way.
    private var goneSince: ContinuousClock.Instant?
    /// How long those are waited for: libvirt tells the end of a killed QEMU up to two seconds late.
    private static let grace = Duration.seconds(3)
    /// When READY arrived.
    private(set) var readyAt: ContinuousClock.Instant?

    init(steps: SwapSteps, events: HypervisorEvents) {
        self.steps = steps
        self.events = events
    }

    /// The time that the copy itself took.
    var copyTime: Duration? {
        guard let copyBegan, let readyAt else { return nil }
        return readyAt - copyBegan
    }

    mutating func awaitMirror(_ plan: SwapPlan) async -> SwapInput {
        await steps.subscribe(plan.domain, events)
        if let refusal = await steps.checkGrownSize(plan) { return .failed(refusal) }
        var copy = CopyWatch(stallTimeoutS: plan.options.stallTimeoutS, now: .now)
        // An adopted copy was in step before anybody listened; a small one is by now.
        if let input = await look(plan, &copy, nil) { return input }
        let events = events
        let interval = steps.environment.settings.sampleInterval
        let ticker = Task {
            // The pace of progress reports and time-outs, not of the copy: READY comes by event.
            while (try? await Task.sleep(for: interval)) != nil { events.post(.look) }
        }
        defer { ticker.cancel() }
        return await watch(plan, copy)
    }

    private mutating func watch(_ plan: SwapPlan, _ begun: CopyWatch) async -> SwapInput {
        var copy = begun
        var cause: String?
        for await event in events.stream {
            switch event {
            case .blockJob(plan.disk, .ready, let at):
                readyAt = at
                copy.finish(atLeast: plan.oldBytes)
                report(plan, copy)
                return .mirrorReady
            case .blockJob(plan.disk, let status, _):
                // A job on the disk means that the event was that of another one, ended before ours began.
                if (try? await steps.hypervisor.blockJobInfo(plan.domain, disk: plan.disk)) ?? nil != nil { continue }
                return await ended(plan, status, cause)
            case .jobError(plan.disk, let message):
                // QEMU tells the failed operation first, then the error it ended with.
                cause = cause.map { $0 == message ? message : "\(message) (\($0))" } ?? message
            case .stopped(let reason):
                return await steps.locate(plan, orFail: steps.failure(plan, "the guest went away during the copy: \(reason)"))
            case .look:
                if let input = await look(plan, &copy, cause) { return input }
            case .blockJob, .jobError:
                break  // another disk of the domain
            }
        }
        return .failed(steps.failure(plan, "the hypervisor's events ended"))
    }

    private func ended(_ plan: SwapPlan, _ status: BlockJobStatus, _ cause: String?) async -> SwapInput {
        switch status {
        case .canceled: steps.ended(plan, cause: cause ?? "the copy was cancelled by somebody else")
        case .failed: steps.ended(plan, cause: cause ?? "the copy failed; QEMU gave no reason")
        case .completed, .ready: await steps.locate(plan, orFail: steps.failure(plan, "the copy ended without a pivot"))
        }
    }

    /// One look at the job: nil when it goes on.
    private mutating func look(_ plan: SwapPlan, _ copy: inout CopyWatch, _ cause: String?) async -> SwapInput? {
        if steps.control.isAbortRequested { return .failed(.abortedByRequest) }
        if plan.options.timeoutS > 0, steps.age > plan.options.timeoutS {
            return .failed(steps.failure(plan, "not done after timeout_s, \(plan.options.timeoutS) seconds"))
        }
        await applyBandwidth(plan)
        do {
            guard let job = try await steps.hypervisor.blockJobInfo(plan.domain, disk: plan.disk) else {
                return await gone(plan, cause ?? "the copy ended without an event that explains it")
            }
            goneSince = nil
            let isMoving = copy.sample(job, now: .now)
            report(plan, copy)
            if job.end > 0, job.remaining == 0, try await steps.isMirrorReady(plan) {
                readyAt = .now
                return .mirrorReady
            }
            if isMoving { return nil }
            return .failed(
                steps.failure(
                    plan,
                    "stalled: the remaining \(job.remaining) bytes did not shrink for stall_timeout_s, \(plan.options.stallTimeoutS) seconds"
                ))
        } catch let error where error.code == .connectionLost {
            await steps.hypervisor.waitUntilConnected()
            events.post(.look)
            return nil
        } catch {
            return await gone(plan, cause ?? error.description)
        }
    }

    /// The job is not there: what explains it may still be on its way, so that is waited for before the worst is believed.
    private mutating func gone(_ plan: SwapPlan, _ cause: String) async -> SwapInput? {
        let found = await steps.locate(plan, orFail: steps.failure(plan, cause))
        if case .foundOnNew = found { return found }
        let since = goneSince ?? .now
        goneSince = since
        if .now - since >= Self.grace { return found }
        steps.environment.clock.post(.look, to: events, after: .milliseconds(500))
        return nil
    }

    private func applyBandwidth(_ plan: SwapPlan) async {
        guard let mibS = steps.control.takeBandwidth() else { return }
        do {
            try await steps.hypervisor.blockJobSetSpeed(plan.domain, disk: plan.disk, bytesPerSecond: mibS << 20)
        } catch {
            steps.control.warn("set_bandwidth \(mibS) MiB/s: \(error)")
            steps.logger.warning("bandwidth: \(error)")
        }
    }

    private func report(_ plan: SwapPlan, _ copy: CopyWatch) {
        steps.control.update(copy.progress)
        steps.environment.observer.progressed(steps.record, plan, copy.progress)
    }
}
