/// Chooses how the copy is done, and explains why an explicit choice cannot be met.
struct StrategyChoice {
    let plan: SwapPlan
    let saved: SavedStates
    let hasTPM: Bool

    /// - Throws: ``SwapFailure`` of kind `invalidInput` if `rebase` cannot express it, `invalidVolume` for a larger volume.
    func strategy(keepsTPMState: Bool) throws(SwapFailure) -> SwapStrategy {
        let obstacle = obstacleToRebase(keepsTPMState: keepsTPMState)
        switch plan.options.strategy {
        case .copy: return .copy
        case .rebase:
            if let obstacle { throw obstacle }
            return .rebase
        case nil:
            return !plan.wasPersistent && obstacle == nil ? .rebase : .copy
        }
    }

    private func obstacleToRebase(keepsTPMState: Bool) -> SwapFailure? {
        if case .network = plan.destination.location {
            return .invalidInput(
                "options.strategy: rebase needs a path, but the new volume is \(plan.destination.location); use copy")
        }
        if plan.destination.encryption != nil {
            return .invalidInput("options.strategy: rebase cannot pass an encrypted volume's secret; use copy")
        }
        if plan.options.needsBlockCopy {
            return .invalidInput(
                "options.strategy: rebase does not support granularity_kib, buffer_mib, synchronous_writes, convergence always, "
                    + "guest_latency_budget, detect_zeroes or hold; use copy"
            )
        }
        if plan.destination.format != "raw" {
            return .invalidInput(
                "options.strategy: rebase would probe the format of a \(plan.destination.format) volume; use copy")
        }
        if plan.usesSlice || plan.resizeToBytes != nil {
            return .invalidVolume(
                "the new volume \(plan.destination.location) is larger than the old one: rebase cannot grow a disk; use copy",
                .notSupported)
        }
        guard plan.wasPersistent else { return nil }
        let losses = [
            (saved.hasSnapshots, "snapshots"), (saved.hasCheckpoints, "checkpoints"),
            (saved.hasManagedSave, "a managed save image"),
            (hasTPM && !keepsTPMState, "a vTPM, whose state this libvirt would drop"),
        ]
        guard let loss = losses.first(where: \.0) else { return nil }
        return .invalidInput(
            "options.strategy: rebase undefines the domain for a while, and \(plan.domain.name) has \(loss.1); use copy")
    }
}
