import JSON
package import Logging
import Metrics
package import OsloMessaging
import Synchronization
package import VolumeSwap

/// Reports swaps as notifications, metrics and log lines.
package final class SwapReporter: SwapObserver {
    private let notifier: Notifier?
    private let failures: NovaFailure
    private let hypervisor: String
    private let progressInterval: Duration
    private let logger: Logger
    private let reports = Mutex<[TaskID: Report]>([:])
    private let readyToPivot = Timer(label: "pivotd_ready_to_pivot_seconds")
    private let overhead = Timer(label: "pivotd_swap_overhead_seconds")
    private let duration = Timer(label: "pivotd_swap_duration_seconds")
    private let copyDuration = Timer(label: "pivotd_copy_duration_seconds")
    private let completed = Counter(label: "pivotd_swaps_total", dimensions: [("result", "completed")])
    /// Each shows from the start, with 0, so that its first increment is an increase to Prometheus.
    private let failed = Dictionary(uniqueKeysWithValues: ReasonCode.allCases.map { ($0, SwapReporter.counter(of: $0)) })
    private let convergences = Dictionary(
        uniqueKeysWithValues: ConvergenceStep.allCases.map { ($0, SwapReporter.counter(of: $0)) })
    private let copies = CopyMeter()

    /// What was last reported of a copy.
    private struct Report {
        var notifiedAt: ContinuousClock.Instant?
        /// Tenths of the copy.
        var tenths = 0
    }

    /// - Parameters:
    ///   - notifier: nil to send no notifications.
    ///   - hypervisor: ``Hypervisor/kind``, for the notifications.
    ///   - progressInterval: minimum time between progress reports of a swap: `progress_interval_s`.
    package init(notifier: Notifier?, failures: NovaFailure, hypervisor: String, progressInterval: Duration, logger: Logger) {
        self.notifier = notifier
        self.failures = failures
        self.hypervisor = hypervisor
        self.progressInterval = progressInterval
        self.logger = logger
    }

    private static func counter(of reason: ReasonCode) -> Counter {
        let phase: SwapPhase = reason == .aborted ? .aborted : .failed
        return Counter(label: "pivotd_swaps_total", dimensions: [("result", phase.rawValue), ("reason", reason.rawValue)])
    }

    private static func counter(of step: ConvergenceStep) -> Counter {
        Counter(label: "pivotd_convergences_total", dimensions: [("result", step.rawValue)])
    }

    /// Records the gauges of running copies, for a scrape.
    package func updateMetrics() {
        let (count, standstill) = copies.standstill(at: .now)
        Gauge(label: "pivotd_copies_running").record(count)
        Gauge(label: "pivotd_guest_latency_seconds").record(copies.guestLatency / 1000)
        Gauge(label: "pivotd_copy_standstill_seconds").record(standstill / .seconds(1))
    }

    /// Logs the plan and emits `volume_swap.start`.
    package func started(_ record: SwapRecord, _ plan: SwapPlan) {
        reports.withLock { $0[record.id] = Report(notifiedAt: .now) }
        copies.begin(record, by: plan.strategy)
        logger.info("swap: \(plan)", metadata: record.logMetadata)
        emit("start", record, state: "preparing", plan: plan)
    }

    /// Logs the phase at debug level.
    package func entered(_ record: SwapRecord, _ phase: SwapPhase) {
        if phase != .copying { copies.rest(record.id) }
        logger.debug("entered \(phase.rawValue)", metadata: record.logMetadata)
    }

    /// Logs each tenth of the copy, and emits `volume_swap.progress` at most once per `progress_interval_s`.
    package func progressed(_ record: SwapRecord, _ plan: SwapPlan, _ progress: SwapProgress, in state: SwapPhase) {
        let now = ContinuousClock.now
        copies.sample(record, by: plan.strategy, progress, at: now)
        let tenths = progress.tenths
        let (isNews, isDue) = reports.withLock { reports in
            var report = reports[record.id] ?? Report()
            let (isNews, isDue) = (tenths > report.tenths, report.notifiedAt.map { now - $0 >= progressInterval } ?? true)
            report.tenths = max(report.tenths, tenths)
            if isDue { report.notifiedAt = now }
            reports[record.id] = report
            return (isNews, isDue)
        }
        if isNews {
            logger.info(
                "copied \(tenths * 10) %: \(progress.copiedBytes) of \(progress.totalBytes) bytes", metadata: record.logMetadata)
        }
        guard isDue, notifier != nil else { return }
        emit("progress", record, state: state.publicState, plan: plan, extra: ["progress": progress.json])
    }

    /// Logs and counts what is done about a copy that does not converge.
    package func converging(_ record: SwapRecord, _ step: ConvergenceStep) {
        convergences[step]?.increment()
        logger.notice("convergence: \(step.rawValue)", metadata: record.logMetadata)
    }

    /// Records `pivotd_ready_to_pivot_seconds`.
    package func pivoting(_ record: SwapRecord, afterReady delay: Duration) {
        readyToPivot.record(duration: delay)
    }

    /// Logs and counts the outcome, and emits `volume_swap.end` or `.error`.
    package func ended(_ record: SwapRecord, _ outcome: SwapOutcome, duration: Duration, overhead: Duration?) {
        reports.withLock { $0[record.id] = nil }
        copies.end(record.id)
        // A refused swap has not run.
        if duration > .zero { self.duration.record(duration: duration) }
        let log = SwapLog(record: record, outcome: outcome, duration: duration, overhead: overhead)
        switch outcome {
        case .success(let result):
            completed.increment()
            if let overhead {
                self.overhead.record(duration: overhead)
                copyDuration.record(duration: duration - overhead)
            }
            logger.info("swap completed in \(duration)", metadata: log.metadata)
            guard notifier != nil else { return }
            let told = result.json
            var extra: JSONObject = [:]
            for key in ["strategy", "capacity_bytes", "copied_bytes", "duration_s", "attempts", "resized", "warnings"] {
                extra[key] = told[key]
            }
            emit("end", record, state: "completed", plan: nil, instance: result.instanceUUID, extra: extra)
        case .failure(let failure):
            failed[failure.code]?.increment()
            let remote = failures.failure(failure, task: record.id.text, args: record.args)
            logger.log(level: log.level, "swap failed: \(remote.message)", metadata: log.metadata)
            guard notifier != nil else { return }
            emit("error", record, state: outcome.phase.rawValue, plan: nil, extra: ["failure": remote.json])
        }
    }

    private func emit(
        _ event: String, _ record: SwapRecord, state: String, plan: SwapPlan?, instance: String? = nil, extra: JSONObject = [:]
    ) {
        guard let notifier else { return }
        var payload: JSONObject = [
            "task_id": .string(record.id.text),
            "instance_uuid": .string(instance ?? plan?.domain.uuid ?? record.facts.instance),
            "disk": .string(record.disk),
            "old_volume_id": record.facts.oldVolumeID.map { .string($0) } ?? .null,
            "new_volume_id": record.facts.newVolumeID.map { .string($0) } ?? .null,
            "hypervisor": .string(hypervisor),
            "state": .string(state),
        ]
        if let plan { payload["strategy"] = .string(plan.strategy.rawValue) }
        payload.merge(extra)
        notifier.emit(
            eventType: "volume_swap.\(event)", priority: event == "error" ? .error : .info, payload: .object(payload),
            context: record.context)
    }
}

extension SwapProgress {
    /// Tenths of the copy that are done.
    fileprivate var tenths: Int { Int((fraction ?? 0) * 10) }
}
