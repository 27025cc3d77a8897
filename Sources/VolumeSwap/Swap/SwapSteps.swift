import Basics
import Foundation
import Logging
import Synchronization

/// The steps of one swap, each a piece of IO with one result for the machine.
///
/// A call that says nothing (a lost connection, a domain that does not answer) is never taken for an answer: it is made again, or the
/// disk is looked at again, until something is known. What the caller of the swap is told waits for that.
final class SwapSteps: Sendable {
    let environment: SwapEnvironment
    let record: SwapRecord
    let request: SwapRequest
    let control: SwapControl
    /// The mailbox of this run; only one step at a time reads it.
    let events: HypervisorEvents
    let host: SwapHost
    /// Gives the slot up when it fires.
    private let patience = Mutex<ScheduledAction?>(nil)
    private let began: ContinuousClock.Instant
    private let earlier: Double

    init(
        environment: SwapEnvironment, record: SwapRecord, request: SwapRequest, control: SwapControl, events: HypervisorEvents,
        host: SwapHost
    ) {
        self.environment = environment
        self.record = record
        self.request = request
        self.control = control
        self.events = events
        self.host = host
        began = environment.clock.now
        earlier = record.startedAt.map { max(0, environment.clock.date.timeIntervalSince($0)) } ?? 0
    }

    /// Made when it is needed: most swaps have nothing to tell.
    var logger: Logger {
        var logger = environment.logger
        logger[metadataKey: "task_id"] = "\(record.id)"
        logger[metadataKey: "instance"] = "\(request.instance)"
        logger[metadataKey: "disk"] = "\(request.disk)"
        return logger
    }

    var hypervisor: any Hypervisor { environment.hypervisor }
    var clock: any SwapClock { environment.clock }
    var inspector: DiskInspector { DiskInspector(hypervisor: hypervisor, clock: clock) }

    /// Never fails: what cannot be seen is ``DiskSight/unknown(_:)``.
    func look(_ plan: SwapPlan) async -> DiskSight {
        let sight = await inspector.look(plan)
        control.marks.note(sight)
        return sight
    }

    /// Seconds since the task was started, by any process; monotonic within this one.
    var age: Double { earlier + (clock.now - began) / .seconds(1) }

    /// Why a swap that has not pivoted is to go no further: an abort or its time-out.
    func interruption(_ plan: SwapPlan? = nil) -> SwapFailure? {
        if control.isAbortRequested { return .abortedByRequest }
        let limit = request.options.timeoutS
        guard limit > 0, age > limit else { return nil }
        let cause = "not done after timeout_s, \(limit) seconds"
        return plan.map { $0.failure(cause, .timedOut) } ?? .rebaseFailed("disk \(request.disk): \(cause)", .timedOut)
    }

    func subscribe(_ domain: DomainIdentity) async {
        do {
            try await hypervisor.subscribe(events, to: domain)
        } catch {
            // The looks at the job go on without events: slower, not wrong.
            control.warn("no events from the hypervisor: \(error)")
            logger.warning("events: \(error)")
        }
    }

    /// Says in the status and, once, in the log what keeps the swap waiting.
    func note(_ detail: String?) {
        keepSlot(detail == nil)
        guard control.note(detail), let detail else { return }
        logger.warning("waiting: \(detail)")
    }

    /// What waits for long for something that hangs makes room for the swaps of other instances.
    private func keepSlot(_ isKept: Bool) {
        patience.withLock { timer in
            if isKept {
                timer?.cancel()
                timer = nil
            } else if timer == nil {
                timer = clock.schedule(after: environment.settings.rollBackPatience, host.giveUpSlot)
            }
        }
    }

    /// Carries a step out that has not come to the pivot; an abort of the swap or its time-out ends it, whatever call is out.
    ///
    /// - Parameter plan: what the failure names, once there is one.
    func untilInterrupted(_ plan: SwapPlan? = nil, _ body: @escaping @Sendable () async -> SwapInput) async -> SwapInput {
        await withTaskGroup(of: SwapInput.self) { group in
            defer { group.cancelAll() }
            group.addTask { await body() }
            group.addTask { [self] in
                await control.untilAborted()
                return .failed(.abortedByRequest)
            }
            let limit = request.options.timeoutS
            if limit > 0 {
                group.addTask { [self] in
                    try? await clock.sleep(for: .seconds(max(0, limit - age)) + .milliseconds(1))
                    return .failed(interruption(plan) ?? .abortedByRequest)
                }
            }
            return await group.next() ?? .interrupted
        }
    }

    /// Returns at the disk's next event, or after `pause`.
    ///
    /// - Returns: the event, unless time alone has passed.
    @discardableResult
    func wait(_ disk: String, atMost pause: Duration) async -> HypervisorEvent? {
        let timer = clock.schedule(after: pause) { [events] in events.post(.recheck) }
        defer { timer.cancel() }
        for await event in events {
            switch event {
            case .blockJob(disk, _, _), .stopped: return event
            case .recheck: return nil
            case .blockJob, .jobError: continue
            }
        }
        return nil
    }

    /// Makes a write that may be left in doubt: look whether it was done, else do it again, for as long as nothing is known.
    ///
    /// - Parameter limit: how long the domain may say nothing, nil for ever.
    func settle(
        for limit: Duration? = nil, _ write: () async throws(HypervisorError) -> Void,
        isDone: () async throws(HypervisorError) -> Bool
    ) async throws {
        let began = clock.now
        var backoff = Backoff()
        var isInDoubt = false
        while true {
            do throws(HypervisorError) {
                if isInDoubt, try await isDone() { return note(nil) }
                try await write()
                return note(nil)
            } catch {
                guard error.isPassing else { throw error }
                note(error.description)
                isInDoubt = true
                if let limit, clock.now - began > limit { throw error }
            }
            try await clock.sleep(for: backoff.pause())
        }
    }
}
