/// A task as it stands.
package struct SwapStatus: Sendable {
    package let record: SwapRecord
    /// How far it has come; the journal may be a step behind.
    package let phase: SwapPhase
    /// The instance's UUID; its name as long as nobody has looked.
    package let instance: String
    /// Nil until it is chosen.
    package let strategy: SwapStrategy?
    package let progress: SwapProgress
    /// What it waits for that it should not have to wait for.
    package let detail: String?
    /// ``Hypervisor/kind``
    package let hypervisor: String

    init(_ record: SwapRecord, control: SwapControl?, hypervisor: String) {
        self.record = record
        self.hypervisor = hypervisor
        // An outcome may have been told before the roll-back is over.
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
            instance = plan?.domain.uuid ?? failure.course?.instanceUUID ?? record.instanceKey
            strategy = plan?.strategy ?? failure.course?.strategy
            if let course = failure.course, control == nil {
                (progress.copiedBytes, progress.totalBytes) = (course.copiedBytes, course.totalBytes)
            }
        case nil:
            instance = plan?.domain.uuid ?? record.instanceKey
            strategy = plan?.strategy
        }
        self.progress = progress
    }

    /// Why it failed, if it did.
    package var failure: SwapFailure? {
        if case .failure(let failure)? = record.outcome { failure } else { nil }
    }

    /// The volume that the guest runs on, once the outcome says so.
    package var inUse: VolumeInUse? {
        switch record.outcome {
        case .success: .new
        case .failure(let failure): failure.inUse ?? .unknown
        case nil: nil
        }
    }
}
