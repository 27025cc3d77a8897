import JSON

/// The current state of a task, for `get_swap` and `list_swaps`.
package struct SwapStatus: Sendable {
    /// The task as journaled.
    package let record: SwapRecord
    /// The live phase; the journal may lag one step behind.
    package let phase: SwapPhase
    /// The instance's UUID, or its name until it has been looked up.
    package let instance: String
    /// nil until it is chosen.
    package let strategy: SwapStrategy?
    package let progress: SwapProgress
    /// What delays it, for an operator; nil if nothing does.
    package let detail: String?
    /// What a queued task waits for; nil once it has begun.
    package let waitsFor: String?
    /// ``Hypervisor/kind``
    package let hypervisor: String

    /// The status of a task as it is stored, without its worker.
    package init(stored record: SwapRecord) {
        var hypervisor = "unknown"
        if case .success(let result)? = record.outcome { hypervisor = result.hypervisor }
        self.init(record, control: nil, hypervisor: hypervisor)
    }

    init(_ record: SwapRecord, control: SwapControl?, waitsFor: String? = nil, hypervisor: String) {
        self.record = record
        self.waitsFor = waitsFor
        self.hypervisor = hypervisor
        // The outcome may have been reported before the roll-back is over.
        phase = record.isOver ? record.phase : control?.phase ?? record.phase
        detail = control?.detail
        let plan = control?.plan ?? record.plan
        var progress = control?.progress ?? SwapProgress()
        switch record.outcome {
        case .success(let result):
            instance = result.instanceUUID
            strategy = result.strategy
            (progress.copiedBytes, progress.totalBytes) = (result.copiedBytes, result.copiedBytes)
        case .failure(let failure):
            instance = plan?.domain.uuid ?? failure.course?.instanceUUID ?? record.facts.instance
            strategy = plan?.strategy ?? failure.course?.strategy
            if let course = failure.course, control == nil {
                (progress.copiedBytes, progress.totalBytes) = (course.copiedBytes, course.totalBytes)
            }
        case nil:
            instance = plan?.domain.uuid ?? record.facts.instance
            strategy = plan?.strategy
        }
        self.progress = progress
    }

    /// The id of the caller's own request, out of oslo's context.
    package var requestID: String? { record.requestID }

    /// The failure as things stand now, if it failed.
    package var failure: SwapFailure? {
        if case .failure(let failure)? = record.outcome { failure.asEnded } else { nil }
    }

    /// The volume that the guest runs on; nil while there is no outcome.
    package var inUse: VolumeInUse? {
        switch record.outcome {
        case .success: .new
        case .failure: failure?.inUse ?? .unknown
        case nil: nil
        }
    }
}
