/// How a task ended whose caller had been told of its failure while the rollback went on.
///
/// The reply is never changed, also when it is repeated; a status shows the failure as it ended.
package struct SwapConclusion: Sendable, Hashable, Codable {
    /// The failure's reason, without what had still to be done.
    package var reason: String
    /// The volume that the VM runs on.
    package var inUse: VolumeInUse
    /// What could not be undone; mostly empty.
    package var leftBehind: [String]

    package init(reason: String, inUse: VolumeInUse, leftBehind: [String]) {
        self.reason = reason
        self.inUse = inUse
        self.leftBehind = leftBehind
    }
}

extension SwapFailure {
    /// The failure while something has still to be undone.
    func leaving(_ remainder: String) -> SwapFailure {
        var failure = adding(remainder)
        failure.leftBehind.append(remainder)
        return failure
    }

    /// The failure before ``leaving(_:)``.
    var withoutRemainder: SwapFailure {
        guard let remainder = leftBehind.last else { return self }
        var failure = self
        failure.leftBehind.removeLast()
        failure.reason = reason.replacing("; \(remainder)", with: "")
        return failure
    }

    /// The failure as things stand now.
    package var asEnded: SwapFailure {
        guard let conclusion else { return self }
        var failure = self
        (failure.reason, failure.inUse, failure.leftBehind) = (conclusion.reason, conclusion.inUse, conclusion.leftBehind)
        return failure
    }
}
