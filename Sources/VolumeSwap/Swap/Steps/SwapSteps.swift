import Basics
import Foundation
import Logging
import Synchronization

/// The steps of one swap: each is one piece of IO with one result for the machine.
///
/// A call without an answer (a lost connection, a domain that hangs) is never taken for one: it is repeated, or the disk is
/// inspected, until something is known. The swap's caller waits for that.
final class SwapSteps: Sendable {
    let environment: SwapEnvironment
    let record: SwapRecord
    let request: SwapRequest
    let control: SwapControl
    /// This run's mailbox; only one step at a time reads it.
    let events: HypervisorEvents
    let host: SwapHost
    /// Frees the slot when it fires.
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

    /// Created on demand: most swaps log nothing.
    var logger: Logger {
        var logger = environment.logger
        for (key, value) in record.logMetadata { logger[metadataKey: key] = value }
        logger[metadataKey: "instance"] = "\(request.instance)"
        return logger
    }

    var hypervisor: any Hypervisor { environment.hypervisor }
    var clock: any SwapClock { environment.clock }
    var inspector: DiskInspector { DiskInspector(hypervisor: hypervisor, clock: clock) }

    /// The disk's state; ``DiskSight/unknown(_:)`` if it cannot be determined.
    func look(_ plan: SwapPlan) async -> DiskSight {
        let sight = await inspector.look(plan, pivotedIn: control.marks.pivotLife)
        control.marks.note(sight)
        return sight
    }

    /// Seconds since any process started the task; monotonic within this one.
    var age: Double { earlier + (clock.now - began) / .seconds(1) }

    /// The reason to stop a swap that has not pivoted: an abort or its time-out.
    func interruption(_ plan: SwapPlan? = nil) -> SwapFailure? {
        if control.isAbortRequested { return control.reasonToStop }
        let limit = request.options.timeoutS
        guard limit > 0, age > limit, !control.isHeld else { return nil }
        let cause = "not done after timeout_s, \(Quantity.number(limit)) seconds"
        return plan.map { $0.failure(cause, .timedOut) } ?? .rebaseFailed("disk \(request.disk): \(cause)", .timedOut)
    }

    func subscribe(_ domain: DomainIdentity) async {
        do {
            try await hypervisor.subscribe(events, to: domain)
        } catch {
            // Inspections go on without events, which is slower but correct.
            control.warn("no events from the hypervisor: \(error)")
            logger.warning("events: \(error)")
        }
    }

    /// Shows in the status, and logs once, what delays the swap; nil when nothing does.
    func note(_ detail: String?, keepsSlot: Bool = false) {
        keepSlot(keepsSlot || detail == nil)
        guard control.note(detail), let detail else { return }
        logger.warning("waiting: \(detail)")
        remark("waits: \(detail)")
    }

    /// Adds a note to the task's history, unless the last one said the same but for its numbers.
    func remark(_ text: String, isCause: Bool = false) {
        if control.marks.isNews(text, isCause: isCause) { environment.journal.remark(record.id, text) }
    }

    /// Journals news of a plan between two phases. A failure is only logged: the next phase stores it.
    ///
    /// - Parameter news: what there is to know, for the log.
    func journal(_ plan: SwapPlan, in phase: SwapPhase, _ news: String) async {
        var plan = plan
        plan.pivotLife = control.marks.pivotLife
        do {
            try await environment.journal.enter(record.id, phase, plan: plan)
            control.marks.noteStored(plan)
        } catch {
            logger.warning("journal: could not store that \(news): \(error)")
        }
    }

    /// Frees the slot for other instances after waiting for long.
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

    /// Runs a step before the pivot; an abort or the swap's time-out ends it, even during a call.
    ///
    /// - Parameter plan: what the failure names, once there is one.
    func untilInterrupted(_ plan: SwapPlan? = nil, _ body: @escaping @Sendable () async -> SwapInput) async -> SwapInput {
        var works = [body]
        works.append { [self] in
            await control.untilAborted()
            return .failed(control.reasonToStop)
        }
        let limit = request.options.timeoutS
        if limit > 0, !control.isHeld {
            works.append { [self] in
                try? await clock.sleep(for: .seconds(max(0, limit - age)) + .milliseconds(1))
                return .failed(interruption(plan) ?? control.reasonToStop)
            }
        }
        return await first(of: works) ?? .interrupted
    }

    /// Waits for the disk's next event, at most for `pause`.
    ///
    /// - Returns: the event; nil if only time has passed.
    @discardableResult
    func wait(_ disk: String, atMost pause: Duration) async -> HypervisorEvent? {
        let timer = clock.schedule(after: pause) { [events] in events.post(.recheck) }
        defer { timer.cancel() }
        for await event in events {
            switch event {
            case .blockJob(disk, _, _), .jobError(disk, _), .stopped: return event
            case .recheck: return nil
            case .blockJob, .jobError: continue
            }
        }
        return nil
    }

    /// Makes a write whose answer may be lost: checks whether it was done, else repeats it, until the result is known.
    ///
    /// - Parameters:
    ///   - limit: how long the domain may give no answer; nil for no limit.
    ///   - isDone: whether it was done; by default it is repeated.
    func ensure(
        for limit: Duration? = nil, _ write: () async throws(HypervisorError) -> Void,
        isDone: () async throws(HypervisorError) -> Bool = { () async throws(HypervisorError) in false }
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
