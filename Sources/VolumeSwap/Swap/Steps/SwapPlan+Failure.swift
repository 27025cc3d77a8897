extension SwapPlan {
    /// A failure naming the disk, both volumes and the cause.
    func failure(_ cause: String, _ code: ReasonCode? = nil) -> SwapFailure {
        .rebaseFailed(
            "disk \(self.disk), \(self.oldLocation) to \(self.destination.location): \(cause)", code ?? ReasonCode(cause: cause))
    }

    /// The failure of a guest that went away during the copy, while its configuration names the new volume, although nobody is known to
    /// have pivoted.
    var namedWithoutPivot: SwapFailure {
        failure(
            "the guest went away during the copy, and its configuration names the new volume, which may be half copied",
            .guestGone
        )
        .keepingBoth
    }
}

extension SwapInput {
    /// What a copy's end means, judged by its cause.
    static func copyEnded(_ plan: SwapPlan, cause: String) -> SwapInput {
        if cause.contains("different sizes") { return .sizesDiffer(plan.failure(cause, .newVolumeTooSmall)) }
        if plan.usesSlice, cause.contains("actual size of the containing file") {
            return .failed(
                .invalidVolume(
                    "the new volume \(plan.destination.location) is smaller than the old one's \(plan.oldBytes) bytes",
                    .newVolumeTooSmall))
        }
        return .failed(plan.failure(cause))
    }
}

extension ReasonCode {
    /// The code for a cause in QEMU's or libvirt's words.
    init(cause: String) {
        let table: [(String, ReasonCode)] = [
            ("No space left", .noSpace), ("Disk quota", .noSpace), ("Input/output error", .ioError),
            ("Stale file handle", .ioError),
            ("Connection reset", .ioError), ("Broken pipe", .ioError), ("Transport endpoint", .ioError),
            ("the guest", .guestGone),
        ]
        self = table.first { cause.contains($0.0) }?.1 ?? .hypervisorRefused
    }
}
