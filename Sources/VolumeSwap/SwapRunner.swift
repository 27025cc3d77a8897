import Foundation
import JSON
import Logging
import OrderedCollections

/// Carries one swap out: takes the machine's actions, journals each phase before its step, does the step, tells the machine what came of it.
struct SwapRunner {
    let environment: SwapEnvironment
    let record: SwapRecord
    let request: SwapRequest
    let control: SwapControl
    let steps: SwapSteps
    private let began = ContinuousClock.now

    init(environment: SwapEnvironment, record: SwapRecord, request: SwapRequest, control: SwapControl) {
        self.environment = environment
        self.record = record
        self.request = request
        self.control = control
        var logger = environment.logger
        logger[metadataKey: "task_id"] = "\(record.id)"
        logger[metadataKey: "instance"] = "\(request.instance)"
        logger[metadataKey: "disk"] = "\(request.disk)"
        steps = SwapSteps(environment: environment, record: record, request: request, control: control, logger: logger)
    }

    /// Runs to the end, whatever happens.
    ///
    /// - Returns: nil when the task was cancelled: what is under way is left to the hypervisor, the journal knows where it was left.
    func run(from entry: SwapEntry) async -> SwapOutcome? {
        let events = HypervisorEvents()
        defer { events.close() }
        control.onWake { events.post(.look) }
        defer { control.onWake(nil) }
        var watcher = MirrorWatcher(steps: steps, events: events)
        let first = SwapMachine.begin(entry)
        var action = first.action
        var machine = first.next
        while true {
            if Task.isCancelled, action.canBeLeft { return nil }
            if let failure = await journal(machine.phase, action) {
                action = machine.handle(.failed(failure), pivotTries: environment.settings.pivotTries)
                continue
            }
            let input: SwapInput
            switch action {
            case .prepare: input = await steps.prepare()
            case .undefine(let plan): input = await steps.undefine(plan)
            case .start(let plan):
                watcher.copyBegan = .now
                input = await steps.start(plan, events)
            case .awaitMirror(let plan): input = await watcher.awaitMirror(plan)
            case .pivot(let plan, let pause): input = await pivot(plan, pause, readyAt: watcher.readyAt)
            case .bringBack(let plan, _): input = await steps.bringBack(plan)
            case .grow(let plan): input = await steps.grow(plan)
            case .store(let plan): input = await steps.store(plan, events)
            case .rollBack(let plan, let failure): input = await steps.rollBack(plan, failure)
            case .complete(let plan): return end(.success(result(plan, control.warnings)), watcher.copyTime)
            case .fail(let failure): return end(.failure(failure), watcher.copyTime)
            }
            // While stopping a failure may be that of the stop itself: recovery will judge.
            if Task.isCancelled, input.isTrouble { return nil }
            action = machine.handle(input, pivotTries: environment.settings.pivotTries)
        }
    }

    /// Journals the phase that the action begins.
    ///
    /// - Returns: why the step must not be taken: the swap was aborted, or the journal cannot store. Steps that undo or finish are taken all the same.
    private func journal(_ phase: SwapPhase?, _ action: SwapAction) async -> SwapFailure? {
        guard let phase else { return nil }
        guard control.enter(phase) else { return .abortedByRequest }
        var plan: SwapPlan?
        var mayStop = true
        switch action {
        case .prepare: break
        case .undefine(let current), .start(let current), .awaitMirror(let current): plan = current
        case .pivot(let current, _):
            plan = current
            environment.journal.note(record.id, .ready)
            await environment.settings.onPhase(.ready)
        case .grow(let current), .store(let current): (plan, mayStop) = (current, false)
        case .bringBack(let current, _): (plan, mayStop) = (current, false)
        case .rollBack(let current, _): (plan, mayStop) = (current, false)
        case .complete, .fail: return nil
        }
        if let plan { control.update(plan) }
        if mayStop, control.isAbortRequested, phase != .pivoting { return .abortedByRequest }
        do {
            try await environment.journal.enter(record.id, phase, plan: plan)
        } catch {
            steps.logger.error("journal: \(error)", metadata: ["phase": "\(phase.rawValue)"])
            if mayStop { return .rebaseFailed("the journal cannot store the swap's progress: \(error.message)") }
        }
        environment.observer.entered(record, phase)
        await environment.settings.onPhase(phase)
        return nil
    }

    private func pivot(_ plan: SwapPlan, _ pause: Duration, readyAt: ContinuousClock.Instant?) async -> SwapInput {
        if pause > .zero { try? await Task.sleep(for: pause) }  // a bounded back-off: libvirt said "not ready"
        if let readyAt, pause == .zero { environment.observer.pivoting(record, afterReady: .now - readyAt) }
        return await steps.pivot(plan)
    }

    private func end(_ outcome: SwapOutcome, _ copyTime: Duration?) -> SwapOutcome {
        let duration = ContinuousClock.now - began
        environment.observer.ended(record, outcome, duration: duration, overhead: copyTime.map { duration - $0 })
        return outcome
    }

    private func result(_ plan: SwapPlan, _ warnings: [String]) -> JSONValue {
        var connection = request.newConnection.json
        if let serial = request.oldConnection.json["serial"] ?? request.oldVolumeID.map(JSONValue.string) {
            connection["serial"] = serial
        }
        if let path = plan.destination.location.path {
            var data = request.newConnection.data
            data["device_path"] = .string(path)
            connection["data"] = .object(data)
        }
        let progress = control.progress
        let started = record.startedAt ?? record.acceptedAt
        return [
            "task_id": .string(record.id.text),
            "instance_uuid": .string(plan.domain.uuid),
            "disk": .string(plan.disk),
            "old_volume_id": request.oldVolumeID.map(JSONValue.string) ?? .null,
            "new_volume_id": request.newVolumeID.map(JSONValue.string) ?? .null,
            "strategy": .string(plan.strategy.rawValue),
            "hypervisor": .string(environment.hypervisor.kind),
            "connection_info": .object(connection),
            "capacity_bytes": .integer(plan.resizeToBytes ?? plan.oldBytes),
            "copied_bytes": .integer(progress.copiedBytes),
            "duration_s": .real((Date.now.timeIntervalSince(started) * 1000).rounded() / 1000),
            "attempts": .integer(Int64(plan.attempts)),
            "warnings": .array((plan.warnings + warnings).map(JSONValue.string)),
        ]
    }
}
