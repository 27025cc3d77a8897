extension SwapFailure {
    /// What the caller was told, with how the task has ended since.
    func concluded(by outcome: SwapOutcome) -> SwapFailure {
        var told = self
        switch outcome {
        case .failure(let ended):
            told.course = ended.course
            told.conclusion = SwapConclusion(
                reason: ended.reason, inUse: ended.inUse ?? inUse ?? .unknown, leftBehind: ended.leftBehind)
        case .success(let result):
            told.course = SwapCourse(
                instanceUUID: result.instanceUUID, strategy: result.strategy, copiedBytes: result.copiedBytes,
                totalBytes: result.copiedBytes)
            told.conclusion = SwapConclusion(reason: successAfterAll, inUse: .new, leftBehind: [])
        }
        return told
    }

    /// How a task that was reported as failed has succeeded.
    var successAfterAll: String {
        code == .configurationFailed
            ? "reported as failed, but the stored configuration could be written after all"
            : "reported as failed, but the guest is on the new volume after all: someone else pivoted the copy"
    }
}
