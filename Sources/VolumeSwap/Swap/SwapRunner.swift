import Basics
import Foundation
import JSON
import Logging

/// Carries out one swap: journals each phase, runs the step that the machine asks for, and feeds back the result.
struct SwapRunner {
    let steps: SwapSteps
    private let began: ContinuousClock.Instant

    private let id: TaskID
    private let environment: SwapEnvironment
    private let control: SwapControl

    init(
        environment: SwapEnvironment, record: SwapRecord, request: SwapRequest, control: SwapControl,
        host: SwapHost = SwapHost()
    ) {
        id = record.id
        self.environment = environment
        self.control = control
        began = environment.clock.now
        steps = SwapSteps(
            environment: environment, record: record, request: request, control: control, events: HypervisorEvents(),
            host: host)
    }

    /// Runs the swap to its end.
    ///
    /// - Returns: nil if cancelled: what is under way is left to the hypervisor, and the journal knows where it stopped.
    func run(from entry: SwapEntry) async -> SwapOutcome? {
        let events = steps.events
        defer { events.close() }
        control.onWake { events.post(.recheck) }
        defer { control.onWake(nil) }
        defer { control.group?.note(id, .stayed("its swap has ended")) }
        control.marks.takeUp(entry)
        if !entry.isAside, case .resume(_, let plan) = entry, await !takeTurn(plan.domain.uuid.lowercased()) { return nil }
        let first = SwapMachine.begin(entry)
        var action = first.action
        var machine = first.next
        if case .resume(let phase, let plan) = entry, phase.isFromPivotOn { control.update(.done(plan.oldBytes)) }
        if let stored = steps.record.plan {
            control.update(stored)
            control.marks.noteStored(stored)
        }
        while true {
            if Task.isCancelled, !action.isEnd { return nil }
            if let failure = await journal(machine.phase, action) {
                let before = action
                action = machine.handle(.failed(failure), pivotTries: environment.settings.pivotTries)
                await tellGroup(before, action)
                continue
            }
            let input: SwapInput
            switch action {
            case .observe(let plan): input = await steps.observe(plan)
            case .undo(let plan):
                input = await steps.untilInterrupted(plan) { [steps] in
                    await steps.undo(plan, .rebaseFailed("pivotd was restarted", .internal))
                }
                if case .rolledBack(_, let leftBehind) = input { control.marks.leave(leftBehind) }
                control.startOver()
            case .prepare: input = await steps.prepare()
            case .undefine(let plan): input = await steps.undefine(plan)
            case .start(let plan): input = await steps.start(plan)
            case .awaitMirror(let plan): input = await steps.awaitMirror(plan)
            case .converge(let plan): input = await steps.converge(plan)
            case .endCopy(let plan): input = await steps.endCopy(plan)
            case .pivot(let plan, let pause): input = await pivot(plan, pause)
            case .mirrorBack(let plan, _): input = await steps.mirrorBack(plan)
            case .grow(let plan): input = await steps.grow(plan)
            case .store(let plan): input = await steps.store(plan)
            case .rollBack(let plan, let failure): input = await steps.rollBack(plan, failure)
            case .complete(let plan):
                return end(.success(result(plan, control.marks.leftBehind + control.warnings)))
            case .fail(let failure): return end(.failure(withCourse(failure)))
            }
            // While stopping, a failure may be due to the stop itself; recovery will judge.
            if Task.isCancelled, input.isTrouble { return nil }
            if let setback = input.setback { steps.remark(setback.reason) }
            let before = action
            action = machine.handle(input, pivotTries: environment.settings.pivotTries)
            await tellGroup(before, action)
        }
    }

    /// Waits for the domain, as another task may have it since before the restart. An aborted swap does not wait: like a held one, it takes
    /// its turn once it needs it.
    ///
    /// - Returns: false if pivotd is stopping.
    private func takeTurn(_ uuid: String) async -> Bool {
        let hasTurn = await first(of: [
            { @Sendable [environment, id] in (try? await environment.domainLocks.acquire(uuid, for: id)) != nil },
            { @Sendable [control] in
                await control.untilAborted()
                return false
            },
        ])
        if Task.isCancelled { return false }
        if hasTurn != true { _ = control.hold() }
        return true
    }

    /// Tells the swaps that this one was to pivot with how that ended, and waits until the guest runs again: its journal shows until
    /// then that it may be paused.
    private func tellGroup(_ before: SwapAction, _ action: SwapAction) async {
        guard let group = control.group else { return }
        switch action {
        case .awaitMirror, .converge, .pivot: return
        case .grow, .store, .complete: group.note(id, .moved)
        case .rollBack(_, let failure), .mirrorBack(_, let failure), .fail(let failure): group.note(id, .stayed(failure.reason))
        case .observe, .undo, .prepare, .undefine, .start, .endCopy: group.note(id, .stayed("its copy has begun anew"))
        }
        if case .pivot = before, group.isDecided { await group.untilOver() }
    }

    /// The plan as it is stored: with what was done to the definition since it was made, with the group that the swap is about to pivot
    /// with, and what its caller should know of that.
    private func stored(_ plan: SwapPlan, _ action: SwapAction) -> SwapPlan {
        var plan = plan
        if case .undefine = action {} else if plan.isUndefined, control.marks.hasDefinedAgain { plan.isDefinedAgain = true }
        if control.isReleased { plan.isReleased = true }
        plan.pivotLife = control.marks.pivotLife
        guard let group = control.enteredGroup else { return plan }
        if case .pivot = action, let mark = group.openMark { plan.pivotGroup = mark }
        if let warning = group.warning { plan.warnings.append(warning) }
        return plan
    }

    /// Adds how far the swap had come.
    private func withCourse(_ failure: SwapFailure) -> SwapFailure {
        var failure = failure
        failure.leftBehind += control.marks.leftBehind.filter { !failure.leftBehind.contains($0) }
        guard let plan = control.plan else { return failure }
        failure.course = SwapCourse(
            instanceUUID: plan.domain.uuid, strategy: plan.strategy, copiedBytes: control.progress.copiedBytes,
            totalBytes: control.progress.totalBytes, isStranded: hasStranded(plan) ? true : nil)
        return failure
    }

    /// Whether a pivot of this swap has left the disk on the new volume without libvirt's knowledge.
    private func hasStranded(_ plan: SwapPlan) -> Bool {
        control.marks.isStranded && (plan.isMirroredBack == false || plan.mayHavePivoted == true)
    }

    /// Journals the phase that the action begins. Does not wait for a phase that recovery does not need: a preflight is repeated
    /// anyway, and a hypervisor that goes on knows whether a copy runs or was pivoted.
    ///
    /// - Returns: why the step must not run: the swap was aborted, or the journal fails. Steps that undo or finish always run.
    private func journal(_ phase: SwapPhase?, _ action: SwapAction) async -> SwapFailure? {
        guard var phase, !action.isEnd else { return nil }
        // A held swap that is taken up again is still held.
        if control.isHeld, phase == .copying { phase = .ready }
        if case .pivot(_, let pause) = action {
            guard control.enterPivot() else { return control.reasonToStop }
            control.marks.notePivot()
            // Later a group's swaps would be taken for held ones.
            if pause == .zero, steps.record.phase != .pivoting {
                environment.journal.note(id, .ready)
                await environment.hooks.onPhase(.ready)
            }
        } else {
            control.enter(phase)
        }
        if case .rollBack(_, let cause) = action { steps.remark("rolls back: \(cause.reason)", isCause: true) }
        var news: SwapPlan?
        if let plan = action.plan.map({ stored($0, action) }), plan != control.marks.storedPlan {
            control.update(plan)
            if let step = plan.convergence, step != control.marks.storedPlan?.convergence {
                environment.observer.converging(steps.record, step)
            }
            news = plan
        }
        if action.canBeRefused, control.isAbortRequested, phase != .pivoting { return control.reasonToStop }
        do {
            if let news {
                let isSynced = !(action.endsWithTheHost && environment.hypervisor.isOnThisHost)
                try await environment.journal.enter(id, phase, plan: news, isSynced: isSynced)
                control.marks.noteStored(news)
            } else if action.isSeenAfterwards {
                environment.journal.note(id, phase, isSynced: action.isAfterPivot)
            } else {
                try await environment.journal.enter(id, phase, plan: nil)
            }
        } catch {
            steps.logger.error("journal: \(error)", metadata: ["phase": "\(phase.rawValue)"])
            // A running copy need not end because news of it could not be stored: the next phase stores them.
            if case .awaitMirror = action, control.marks.storedPlan != nil { return nil }
            if action.canBeRefused {
                return .rebaseFailed("the journal cannot store the swap's progress: \(error.message)")
            }
        }
        control.noteStored(phase)
        environment.observer.entered(steps.record, phase)
        await environment.hooks.onPhase(phase)
        return nil
    }

    private func pivot(_ plan: SwapPlan, _ pause: Duration) async -> SwapInput {
        if pause > .zero { try? await environment.clock.sleep(for: pause) }  // bounded back-off: libvirt said "not ready"
        if let readyAt = control.marks.readyAt, pause == .zero {
            environment.observer.pivoting(steps.record, afterReady: environment.clock.now - readyAt)
        }
        return await steps.pivot(plan)
    }

    private func end(_ outcome: SwapOutcome) -> SwapOutcome {
        let duration = environment.clock.now - began
        environment.observer.ended(
            steps.record, outcome, duration: duration, overhead: control.marks.copyTime.map { duration - $0 })
        return outcome
    }

    private func result(_ plan: SwapPlan, _ warnings: [String]) -> SwapResult {
        let request = steps.request
        let connection = request.newConnection.replacing(
            request.oldConnection, oldVolumeID: request.oldVolumeID, devicePath: plan.destination.location.path)
        return SwapResult(
            taskID: id, instanceUUID: plan.domain.uuid, disk: plan.disk, oldVolumeID: request.oldVolumeID,
            newVolumeID: request.newVolumeID, strategy: plan.strategy, hypervisor: environment.hypervisor.kind,
            connectionInfo: connection, capacityBytes: plan.capacityBytes ?? plan.oldBytes,
            copiedBytes: control.progress.copiedBytes, duration: steps.age, attempts: Int64(plan.attempts), resized: plan.resized,
            warnings: plan.warnings + warnings)
    }
}
