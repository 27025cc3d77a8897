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
            let reason = "reported as failed, but the guest is on the new volume after all: someone else pivoted the copy"
            told.course = SwapCourse(
                instanceUUID: result.instanceUUID, strategy: result.strategy, copiedBytes: result.copiedBytes,
                totalBytes: result.copiedBytes)
            told.conclusion = SwapConclusion(reason: reason, inUse: .new, leftBehind: [])
        }
        return told
    }
}
