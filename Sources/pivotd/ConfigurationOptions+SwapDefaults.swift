import ArgumentParser

/// Flags for the options of swaps that do not name them.
struct SwapDefaultOptions: ParsableArguments {
    @Option(key: "bandwidth_mib_s") var bandwidthMiBS: String?
    @Option(key: "granularity_kib") var granularityKiB: String?
    @Option(key: "buffer_mib") var bufferMiB: String?
    @Option(key: "synchronous_writes") var synchronousWrites: String?
    @Option(key: "detect_zeroes") var detectZeroes: String?
    @Option(key: "timeout_s") var timeoutS: String?
    @Option(key: "stall_timeout_s") var stallTimeoutS: String?

    /// What is given, by the names of the keys.
    var values: [String: String?] {
        [
            "bandwidth_mib_s": bandwidthMiBS,
            "granularity_kib": granularityKiB,
            "buffer_mib": bufferMiB,
            "synchronous_writes": synchronousWrites,
            "detect_zeroes": detectZeroes,
            "timeout_s": timeoutS,
            "stall_timeout_s": stallTimeoutS,
        ]
    }
}
