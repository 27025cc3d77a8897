import ArgumentParser

/// Flags of the process itself.
struct DaemonOptions: ParsableArguments {
    @Option(key: "state_dir") var stateDir: String?
    @Option(key: "http_address") var httpAddress: String?
    @Option(key: "max_concurrent_swaps") var maxConcurrentSwaps: String?
    @Option(key: "drain_timeout_s") var drainTimeoutS: String?
    @Option(key: "store_retry_s") var storeRetryS: String?
    @Option(key: "progress_interval_s") var progressIntervalS: String?
    @Option(key: "journal_retention_h") var journalRetentionH: String?
    @Option(key: "log_format") var logFormat: String?
    @Option(key: "log_level") var logLevel: String?

    /// What is given, by the names of the keys.
    var values: [String: String?] {
        [
            "state_dir": stateDir,
            "http_address": httpAddress,
            "max_concurrent_swaps": maxConcurrentSwaps,
            "drain_timeout_s": drainTimeoutS,
            "store_retry_s": storeRetryS,
            "progress_interval_s": progressIntervalS,
            "journal_retention_h": journalRetentionH,
            "log_format": logFormat,
            "log_level": logLevel,
        ]
    }
}
