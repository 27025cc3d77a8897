import Budgets
import Logging
import Synchronization

extension SwapSteps {
    /// Time between two inspections of a held copy, beside those that events call for.
    private static let heldInterval = Duration.seconds(10)

    /// Waits until the mirror is in sync, by libvirt's event and by occasional inspections, which find what no event reported.
    ///
    /// Inspections run in parallel, since they may hang with libvirt or QEMU; time-outs and aborts do not wait for them.
    func awaitMirror(_ plan: SwapPlan) async -> SwapInput {
        await subscribe(plan.domain)
        // One that has been in sync is looked at as closely as an adopted one.
        let isAdopted = control.marks.copyBegan == nil || control.marks.readyAt != nil
        let first = await untilInterrupted(plan) { [self] in
            if let refusal = await checkGrownSize(plan) { return .failed(refusal) }
            if environment.budget.speed(of: record.id) == nil { await limitAdopted(plan) }
            if let life = try? await hypervisor.life(plan.domain) { control.marks.note(life: life) }
            return .done
        }
        guard case .done = first else { return first }
        return await withTaskGroup(of: Void.self) { group in
            let input = await watch(plan, isAdopted: isAdopted, &group)
            group.cancelAll()
            // A copy that is made to converge keeps its share.
            if case .notConverging = input { return input }
            environment.budget.endCopy(record.id)
            return input
        }
    }

    /// Applies the requested limit: an adopted copy may still run at an earlier one.
    private func limitAdopted(_ plan: SwapPlan) async {
        do {
            try await setPlannedSpeed(plan)
        } catch {
            logger.warning("the speed of the adopted copy could not be set: \(error)")
        }
    }

    private func watch(_ plan: SwapPlan, isAdopted: Bool, _ group: inout TaskGroup<Void>) async -> SwapInput {
        let window = environment.settings.convergenceWindow
        var watch = MirrorWatch(plan, isAdopted: isAdopted, window: window, now: clock.now)
        var governor = governor(plan)
        let latest = LatestSample()
        var (isLooking, isWanted, isTakingTurn, hasTurn) = (false, true, false, false)
        // One timer, however many looks ask for another one soon.
        var ticker: ScheduledAction?
        var lookAt: ContinuousClock.Instant?
        defer {
            ticker?.cancel()
            control.marks.noteReady(at: watch.readyAt)
        }
        // An adopted or small copy may already be in sync.
        events.post(.recheck)
        for await event in events {
            if watch.take(event) { isWanted = true }
            if let interruption = interruption(plan) { return .failed(interruption) }
            let isItsTurn = isTakingTurn ? ownsDomain(plan) : control.group?.isGathering == true
            if isItsTurn, !hasTurn { watch.beginTurn(now: clock.now) }
            hasTurn = isItsTurn
            if let sample = latest.take() {
                isLooking = false
                steer(&governor, sample)
                watch.guestLatency = governor?.latency
                let verdict = watch.judge(sample, now: clock.now)
                lookAt = verdict.nextLook.map { clock.now + $0 }
                if let input = follow(verdict, watch, plan, rests: rests(hasTurn)) { return input }
                if !rests(hasTurn), !hurries(&governor, &watch), watch.mustConverge(now: clock.now) { return .notConverging }
            } else if event == .recheck {
                isWanted = true
            }
            if !hypervisor.isConnected { watch.noConnection(now: clock.now) }
            if !rests(hasTurn), let stall = watch.stall(now: clock.now) { return .failed(stall) }
            if control.isReleased, !isTakingTurn {
                // Another swap of the instance may be under way: the copy is watched until it has ended.
                isTakingTurn = true
                group.addTask { [self] in
                    await storeRelease(plan)
                    _ = await takeTurn(plan)
                    events.post(.recheck)
                }
            }
            if isWanted, !isLooking {
                (isLooking, isWanted, lookAt) = (true, false, nil)
                let isFull = watch.beginLook()
                group.addTask { [self] in
                    latest.put(await sample(plan, isFull: isFull))
                    events.post(.recheck)
                }
            }
            ticker?.cancel()
            // This paces progress reports and time-outs, not the copy: READY comes as an event.
            let pause = rests(hasTurn) ? Self.heldInterval : pace(governor != nil)
            let early = lookAt.map { max(.zero, $0 - clock.now) } ?? pause
            ticker = clock.schedule(after: min(pause, early)) { [events] in events.post(.recheck) }
        }
        return .interrupted
    }

    /// A copy that only its guest's latency budget holds back, and that the guest outruns, is let run faster.
    ///
    /// - Returns: whether the copy is held back, so that nothing else need be done about it yet.
    private func hurries(_ governor: inout LatencyGovernor?, _ watch: inout MirrorWatch) -> Bool {
        guard !control.isHeld, governor?.holdsBack == true else { return false }
        if watch.mustHurry(now: clock.now) { governor?.hurry() }
        return !watch.hasHurriedInVain(now: clock.now)
    }

    /// Whether the swap is held and its pivot has to wait: nothing is done about its copy meanwhile, and no time-out counts.
    private func rests(_ hasTurn: Bool) -> Bool { control.isHeld && !hasTurn }

    private func pace(_ isSteered: Bool) -> Duration {
        let settings = environment.settings
        return isSteered ? min(settings.latencyInterval, settings.sampleInterval) : settings.sampleInterval
    }

    private func follow(_ verdict: MirrorWatch.Verdict, _ watch: MirrorWatch, _ plan: SwapPlan, rests: Bool) -> SwapInput? {
        switch verdict {
        case .copies:
            control.group?.note(record.id, .copying)
            if control.isHeld, watch.readyAt != nil { liftShare(plan) }
            note(watch.standstill(now: clock.now, isHeld: rests), keepsSlot: true)
            control.update(watch.progress)
            environment.observer.progressed(record, plan, watch.progress, in: control.phase)
            return nil
        case .inStep:
            note(nil)
            control.update(watch.progress)
            environment.observer.progressed(record, plan, watch.progress, in: control.phase)
            return mayPivot(plan) ? .mirrorReady : nil
        case .unclear(let why):
            control.group?.note(record.id, .copying)
            note(why)
            return nil
        case .gone: return nil
        case .ended(let input): return input
        }
    }

    /// Whether to pivot now; else the swap is held, or waits for its instance's turn.
    private func mayPivot(_ plan: SwapPlan) -> Bool {
        guard request.options.hold else { return true }
        if let group = control.group { return group.noteInStep(record.id) }
        guard !control.isReleased else { return ownsDomain(plan) }
        let isFirst = control.hold()
        liftShare(plan)
        guard isFirst else { return false }
        control.enter(.ready)
        environment.journal.note(record.id, .ready)
        environment.observer.entered(record, .ready)
        logger.notice("in step and held: pivot_swap moves the guest")
        host.giveUpTurn()
        // It was told to before it had to start over.
        if plan.isReleased == true { _ = control.release() }
        return false
    }

    /// Stores that the swap is to pivot: its instance's turn may be hours away, and pivotd be restarted meanwhile.
    private func storeRelease(_ plan: SwapPlan) async {
        var plan = plan
        plan.isReleased = true
        guard plan != control.marks.storedPlan else { return }
        await journal(plan, in: .ready, "the swap is to pivot")
    }

    private func ownsDomain(_ plan: SwapPlan) -> Bool {
        environment.domainLocks.holder(of: plan.domain.uuid.lowercased()) == record.id
    }

    /// A held copy shares no bandwidth, and keeps no share: else the guest's writes could outrun it.
    private func liftShare(_ plan: SwapPlan) {
        let own = control.limit ?? plan.options.bandwidthMiBs << 20
        if let share = environment.budget.speed(of: record.id), share != own { control.requestSpeed(own) }
        environment.budget.leave(record.id)
    }

    /// Gets a held swap its instance's turn back: another swap of the instance may be under way.
    ///
    /// - Returns: false if pivotd is stopping: the domain may belong to another swap.
    func takeTurn(_ plan: SwapPlan) async -> Bool {
        guard control.isHeld else { return true }
        let uuid = plan.domain.uuid.lowercased()
        if environment.domainLocks.isHeld(uuid, byOtherThan: record.id) { note("another swap of the domain is under way") }
        guard (try? await environment.domainLocks.acquire(uuid, for: record.id)) != nil else { return false }
        note(nil)
        return true
    }

    private func sample(_ plan: SwapPlan, isFull: Bool) async -> MirrorWatch.Sample {
        await applySpeed(plan)
        await noteLive(plan)
        let job = (try? await hypervisor.blockJobInfo(plan.domain, disk: plan.disk)) ?? nil
        var latency: LatencyGovernor.Sample?
        if let job, !control.isHeld { latency = await latencySample(plan, job) }
        if !isFull, let job, MirrorWatch.isFarFromReady(job) {
            return .init(sight: .copying(isReady: false), job: job, latency: latency)
        }
        return .init(sight: await look(plan), job: job, latency: latency)
    }

    private func applySpeed(_ plan: SwapPlan) async {
        guard let speed = control.takeSpeed() else { return }
        do {
            try await hypervisor.blockJobSetSpeed(plan.domain, disk: plan.disk, bytesPerSecond: speed)
        } catch {
            if error.isPassing { return control.retrySpeed(speed) }
            control.warn("the copy's speed could not be set: \(error)")
            remark("the copy's speed could not be set: \(error)")
            logger.warning("bandwidth: \(error)")
        }
    }
}

/// Holds the latest sample until it is taken.
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
