import Logging
import Synchronization

extension SwapSteps {
    /// Waits until the mirror is in step: by libvirt's event, and by looks now and then, which find what no event has reported.
    ///
    /// A look runs beside the waiting, for it may hang as long as libvirt or QEMU does; time-outs and aborts do not wait for it.
    func awaitMirror(_ plan: SwapPlan) async -> SwapInput {
        await subscribe(plan.domain)
        let isAdopted = control.marks.copyBegan == nil
        let first = await untilInterrupted(plan) { [self] in
            if let refusal = await checkGrownSize(plan) { return .failed(refusal) }
            if isAdopted { await limitAdopted(plan) }
            return .done
        }
        guard case .done = first else { return first }
        return await withTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            return await watch(plan, isAdopted: isAdopted, &group)
        }
    }

    /// The limit that was asked for: a copy that is adopted may run at that of an earlier start.
    private func limitAdopted(_ plan: SwapPlan) async {
        do {
            try await setPlannedSpeed(plan)
        } catch {
            logger.warning("the speed of the adopted copy could not be set: \(error)")
        }
    }

    private func watch(_ plan: SwapPlan, isAdopted: Bool, _ group: inout TaskGroup<Void>) async -> SwapInput {
        var watch = MirrorWatch(plan, isAdopted: isAdopted, now: clock.now)
        let latest = LatestSample()
        var (isLooking, isWanted) = (false, true)
        var ticker: ScheduledAction?
        defer {
            ticker?.cancel()
            control.marks.noteReady(at: watch.readyAt)
        }
        // An adopted copy was in step before anybody listened; a small one is by now.
        events.post(.recheck)
        for await event in events {
            if watch.take(event) { isWanted = true }
            if let interruption = interruption(plan) { return .failed(interruption) }
            if let sample = latest.take() {
                isLooking = false
                if let input = follow(watch.judge(sample, now: clock.now), watch, plan) { return input }
            } else if event == .recheck {
                isWanted = true
            }
            if let stall = watch.stall(now: clock.now) { return .failed(stall) }
            if isWanted, !isLooking {
                (isLooking, isWanted) = (true, false)
                let isFull = watch.beginLook()
                group.addTask { [self] in
                    latest.put(await sample(plan, isFull: isFull))
                    events.post(.recheck)
                }
            }
            ticker?.cancel()
            // The pace of progress reports and time-outs, not of the copy: READY comes by event.
            ticker = clock.schedule(after: environment.settings.sampleInterval) { [events] in events.post(.recheck) }
        }
        return .interrupted
    }

    private func follow(_ verdict: MirrorWatch.Verdict, _ watch: MirrorWatch, _ plan: SwapPlan) -> SwapInput? {
        switch verdict {
        case .copies(let nextLook):
            note(nil)
            control.update(watch.progress)
            environment.observer.progressed(record, plan, watch.progress)
            if let nextLook { clock.post(.recheck, to: events, after: nextLook) }
            return nil
        case .inStep:
            note(nil)
            control.update(watch.progress)
            environment.observer.progressed(record, plan, watch.progress)
            return .mirrorReady
        case .unclear(let why):
            note(why)
            return nil
        case .gone(let nextLook):
            clock.post(.recheck, to: events, after: nextLook)
            return nil
        case .ended(let input): return input
        }
    }

    private func sample(_ plan: SwapPlan, isFull: Bool) async -> MirrorWatch.Sample {
        await applyBandwidth(plan)
        let job = (try? await hypervisor.blockJobInfo(plan.domain, disk: plan.disk)) ?? nil
        if !isFull, let job, MirrorWatch.isFarFromReady(job) { return .init(sight: .copying(isReady: false), job: job) }
        return .init(sight: await look(plan), job: job)
    }

    private func applyBandwidth(_ plan: SwapPlan) async {
        guard let mibS = control.takeBandwidth() else { return }
        do {
            try await hypervisor.blockJobSetSpeed(plan.domain, disk: plan.disk, bytesPerSecond: mibS << 20)
        } catch {
            control.warn("set_bandwidth \(mibS) MiB/s: \(error)")
            logger.warning("bandwidth: \(error)")
        }
    }
}

/// What the last look has shown, until it is taken.
private final class LatestSample: Sendable {
    private let sample = Mutex<MirrorWatch.Sample?>(nil)

    func put(_ new: MirrorWatch.Sample) { sample.withLock { $0 = new } }

    func take() -> MirrorWatch.Sample? {
        sample.withLock { sample in
            defer { sample = nil }
            return sample
        }
    }
}
