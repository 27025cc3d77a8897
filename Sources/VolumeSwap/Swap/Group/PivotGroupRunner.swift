import Basics
import Logging

/// Pivots several held swaps of one guest as a group: pauses the guest, has each swap request its pivot, resumes the guest.
///
/// The swaps' own runners do what concerns one disk. Until the guest is paused and all mirrors are in step nothing has moved, and
/// whatever goes wrong lets all swaps be held again. From then on each pivots, or fails, by itself, and the guest is resumed when
/// all have, or after a while.
struct PivotGroupRunner: Sendable {
    /// One swap of the group.
    struct Member: Sendable {
        let id: TaskID
        let control: SwapControl
    }

    let environment: SwapEnvironment
    let group: PivotGroup
    let members: [Member]

    private var clock: any SwapClock { environment.clock }
    private var limit: Duration { environment.settings.groupPauseLimit }
    private var logger: Logger { environment.logger(of: group.domain) }

    /// Carries the pivot out; if cancelled, only resumes the guest.
    func run() async {
        defer { environment.domainLocks.release(group.id) }
        var isStoring = false
        do throws(Obstacle) {
            let pauses = try await gather()
            isStoring = true
            try await store(pauses: pauses)
            await pivot(pauses: pauses)
        } catch {
            // The next start must not take what the swaps have stored for a requested pivot.
            if !isStoring { return standDown(error.reason) }
            if await storeHeld() { standDown(error.reason) }
        }
    }

    /// Why the group does not pivot.
    private struct Obstacle: Error {
        let reason: String
    }

    // MARK: Before the pause

    /// Gets the guest's turn, and waits until all mirrors are in step.
    ///
    /// - Returns: whether the guest runs, so that pivotd has to pause it.
    private func gather() async throws(Obstacle) -> Bool {
        try await takeTurn()
        try await enter(.gathering)
        return try await isRunning()
    }

    private func takeTurn() async throws(Obstacle) {
        let locks = environment.domainLocks
        let uuid = group.domain.uuid.lowercased()
        let obstacle = await first(of: [
            { @Sendable [group] () async -> Obstacle? in
                (try? await locks.acquire(uuid, for: group.id)) == nil ? Obstacle(reason: "pivotd is stopping") : nil
            },
            { @Sendable [self] () async -> Obstacle? in
                if case .giveUp(let reason) = await until(nil) { Obstacle(reason: reason) } else { nil }
            },
        ])
        if let obstacle = obstacle ?? nil { throw obstacle }
    }

    private func isRunning() async throws(Obstacle) -> Bool {
        do throws(HypervisorError) {
            switch try await environment.hypervisor.guestState(group.domain) {
            case .running: return true
            case .pausedOnRequest, .paused: return false
            case .notRunning: throw HypervisorError(.operationInvalid, "the guest does not run")
            }
        } catch {
            throw Obstacle(reason: error.description)
        }
    }

    /// Has each swap store that it is about to pivot, and with it whether pivotd pauses the guest.
    private func store(pauses: Bool) async throws(Obstacle) {
        try await enter(.storing, mark: PivotGroupMark(members: group.members, pauses: pauses), by: clock.now + limit)
        guard try await isRunning() == pauses else {
            throw Obstacle(reason: "somebody has \(pauses ? "paused" : "resumed") the guest just now")
        }
    }

    private func enter(
        _ stage: GroupPivot.Stage, mark: PivotGroupMark? = nil, by deadline: ContinuousClock.Instant? = nil
    ) async throws(Obstacle) {
        group.enter(stage, mark: mark)
        for member in members { member.control.recheck() }
        if case .giveUp(let reason) = await until(deadline) { throw Obstacle(reason: reason) }
    }

    /// Waits until the stage is over.
    private func until(_ deadline: ContinuousClock.Instant?) async -> GroupPivot.Step {
        while true {
            let isLate = deadline.map { clock.now >= $0 } ?? false
            let (step, change) = group.next(isLate: isLate)
            guard step == .wait else { return step }
            if Task.isCancelled { return .giveUp("pivotd is stopping") }
            guard let deadline else {
                await change.value(ifCancelled: ())
                continue
            }
            await clock.within(deadline - clock.now, else: ()) { await change.value(ifCancelled: ()) }
        }
    }

    private func standDown(_ reason: String) {
        logger.warning("the disks are not pivoted as a group, and stay held: \(reason)")
        for member in members { member.control.standDown(from: group) }
        group.decide(.standDown(reason))
        group.end(nil)
    }

    // MARK: The pause

    private func pivot(pauses: Bool) async {
        let began = clock.now
        let pause = GuestPause(environment: environment, domain: group.domain)
        if let obstacle = await obstacle(pauses ? pause : nil, by: began + limit / 2) {
            // Callers are told once it is stored; the guest does not wait for a disk that hangs.
            async let isTold = refuse(obstacle)
            let runs = pauses ? await pause.end() : true
            // If it could not be resumed or stored before pivotd stops, the next start has to find that out.
            return await isTold && runs ? standDown(obstacle) : ()
        }
        group.enter(.pivoting)
        environment.domainLocks.passOn(group.domain.uuid.lowercased(), from: group.id, to: group.members)
        group.decide(.pivot)
        _ = await until(began + limit)
        let wasResumed = await wasResumed()
        // Before the guest runs again: what pivots from now on is not known to do so while it is paused.
        let warning = group.warning(afterSeconds: Int(limit / .seconds(1)), wasResumed: wasResumed)
        if pauses, await !pause.end() { return }
        for member in members where warning != nil { member.control.warn(warning ?? "") }
        group.end(warning)
        let took = "\(members.count) disks pivoted as a group in \(clock.now - began)"
        logger.notice("\(warning ?? took)")
    }

    /// Whether somebody has resumed the guest. Nothing that hangs here may keep it paused.
    private func wasResumed() async -> Bool {
        await clock.within(.seconds(1), else: false) { [self] in (try? await isRunning()) ?? false }
    }

    private func refuse(_ obstacle: String) async -> Bool {
        guard await storeHeld() else { return false }
        group.refuse(obstacle)
        return true
    }

    /// Stores that no pivot of the group is requested, so that what callers are told holds after a restart, too. One swap's word is
    /// enough, and is tried for until the journal takes it: a full disk must not let the next start pivot what is reported as held.
    ///
    /// - Returns: false if pivotd stops before.
    private func storeHeld() async -> Bool {
        var backoff = Backoff(first: .milliseconds(200), longest: .seconds(10))
        while !(await hasStoredHeld()) {
            guard (try? await clock.sleep(for: backoff.pause())) != nil else { return false }
        }
        return true
    }

    private func hasStoredHeld() async -> Bool {
        // One that was aborted meanwhile, or has failed, is not held.
        let held = members.filter { $0.control.phase == .pivoting }
        var isStored = held.isEmpty
        for member in held {
            do {
                try await environment.journal.enter(member.id, .ready, plan: nil)
                isStored = true
            } catch {
                logger.warning("journal: could not store that task \(member.id) is held again: \(error)")
            }
        }
        return isStored
    }

    /// Pauses the guest and waits until all mirrors are in step.
    ///
    /// - Parameter pause: nil if the guest is paused already.
    /// - Returns: why not, if so.
    private func obstacle(_ pause: GuestPause?, by deadline: ContinuousClock.Instant) async -> String? {
        if let pause {
            logger.notice("pausing the guest to pivot \(members.count) of its disks as a group")
            if let refusal = await pause.begin(within: deadline - clock.now) { return refusal }
            await environment.hooks.onPause()
        }
        let late = "with the guest paused, not all mirrors were in step in time"
        return await clock.within(deadline - clock.now, else: late) { [self] in await untilInStep() }
    }

    /// - Returns: why a mirror will not be in step, if so.
    private func untilInStep() async -> String? {
        for member in members {
            guard let plan = member.control.plan else { return "task \(member.id) has no plan" }
            var backoff = Backoff(first: .milliseconds(5), longest: .milliseconds(200))
            while !Task.isCancelled, !(await isInStep(plan)) { try? await clock.sleep(for: backoff.pause()) }
        }
        return Task.isCancelled ? "pivotd is stopping" : nil
    }

    private func isInStep(_ plan: SwapPlan) async -> Bool {
        let inspector = DiskInspector(hypervisor: environment.hypervisor, clock: clock)
        guard await inspector.look(plan) == .copying(isReady: true) else { return false }
        let job = try? await environment.hypervisor.blockJobInfo(plan.domain, disk: plan.disk)
        return job?.remaining == 0
    }
}
