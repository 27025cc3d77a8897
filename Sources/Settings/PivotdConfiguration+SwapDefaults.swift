package import Budgets

extension PivotdConfiguration {
    /// What is done about a copy that does not converge.
    package enum Convergence: String, Sendable, CaseIterable {
        case off, auto, always
    }

    /// Defaults for the options that a request does not set.
    package struct SwapDefaults: Sendable {
        /// MiB/s; 0 for no limit.
        package var bandwidthMiBPerSecond: Int
        /// KiB, a power of two; 0 for QEMU's default.
        package var granularityKiB: Int
        /// MiB; 0 for QEMU's default, or 8 with `detectZeroes`.
        package var bufferMiB: Int
        /// Whether the guest's writes go to both volumes.
        package var synchronousWrites: Bool
        /// What is done about a copy that does not converge.
        package var convergence: Convergence
        /// How long the remaining bytes may not fall before something is done.
        package var convergenceWindow: Duration
        /// How long the guest's requests may take while its disk is copied; nil for any time.
        package var guestLatencyBudget: LatencyBudget?
        /// Whether zeroes stay sparse on the new volume.
        package var detectZeroes: Bool
        /// Limit for a whole swap; nil for none.
        package var timeout: Duration?
        /// Limit within which the remaining bytes must shrink; nil for none.
        package var stallTimeout: Duration?

        init(reader: inout ConfigurationReader) {
            reader.section = .swap
            bandwidthMiBPerSecond = reader.integer(
                "bandwidth_mib_s", default: 0, 0...8_388_607, reloads: true, "Bandwidth of a copy in MiB/s; 0 for no limit")
            granularityKiB = reader.powerOfTwo(
                "granularity_kib", upTo: 65_536, reloads: true,
                "Granularity of the copy's dirty bitmap in KiB; 0 for QEMU's default")
            bufferMiB = reader.integer(
                "buffer_mib", default: 0, 0...4095, reloads: true,
                "Data in flight at a time in MiB; 0 for QEMU's default (16), or 8 with detect_zeroes")
            synchronousWrites = reader.boolean(
                "synchronous_writes", default: false, reloads: true,
                "Send the guest's writes to both volumes, so that the copy converges")
            convergence = reader.choice(
                "convergence", default: Convergence.auto, reloads: true,
                "What to do about a copy that the guest outruns: send the guest's writes to both volumes then (auto), from the start (always), or never (off)"
            )
            convergenceWindow = reader.seconds(
                "convergence_window_s", default: 30, 1...86_400, reloads: true,
                "Seconds for which the remaining bytes must not have fallen before convergence auto acts")
            guestLatencyBudget = reader.latencyBudget(
                "guest_latency_budget", reloads: true,
                "Mean time that the guest's requests may take during a copy, in milliseconds or as a factor of the time before; 0 for any time"
            )
            detectZeroes = reader.boolean("detect_zeroes", default: false, reloads: true, "Keep zeroes sparse on the new volume")
            let timeout = reader.seconds(
                "timeout_s", default: 0, 0...31_536_000, reloads: true, "Seconds a whole swap may take; 0 for no limit")
            let stallTimeout = reader.seconds(
                "stall_timeout_s", default: 300, 0...31_536_000, reloads: true,
                "Seconds within which the remaining bytes must shrink; 0 for no limit")
            self.timeout = timeout > .zero ? timeout : nil
            self.stallTimeout = stallTimeout > .zero ? stallTimeout : nil
        }
    }
}
