package import Logging
package import Observability

extension PivotdConfiguration {
    /// The process itself.
    package struct Daemon: Sendable {
        package var stateDirectory: String
        /// nil switches the HTTP server off.
        package var httpAddress: ListenAddress?
        package var maxConcurrentSwaps: Int
        package var drainTimeout: Duration
        /// For how long a stored configuration that cannot be written is tried again.
        package var storeRetry: Duration
        package var progressInterval: Duration
        package var journalRetention: Duration
        package var logFormat: LoggingSetup.Format
        package var logLevel: Logger.Level

        init(reader: inout ConfigurationReader) {
            reader.section = .daemon
            stateDirectory = reader.path("state_dir", default: "/var/lib/pivotd", "The directory of the journal")
            httpAddress = ListenAddress(
                reader.listenAddress(
                    "http_address", default: "127.0.0.1:9178",
                    "Where /livez, /readyz and /metrics are; empty for nowhere"))
            maxConcurrentSwaps = reader.integer(
                "max_concurrent_swaps", default: 8, 1...256, reloads: true, "Swaps of different instances that run side by side")
            drainTimeout = reader.seconds(
                "drain_timeout_s", default: 10, 0...3600, reloads: true, "Seconds within which the worker is gone after SIGTERM")
            storeRetry = reader.seconds(
                "store_retry_s", default: 3600, 0...604_800, reloads: true,
                "Seconds for which a stored configuration that cannot be written after the pivot is tried again")
            progressInterval = reader.seconds(
                "progress_interval_s", default: 5, 0.1...86_400, "Seconds between two progress notifications of a swap")
            let hours = reader.integer(
                "journal_retention_h", default: 168, 1...876_000, "Hours for which finished swaps can be asked for")
            journalRetention = .seconds(hours * 3600)
            logFormat = reader.choice("log_format", default: .text, "How log lines look")
            logLevel = reader.choice("log_level", default: .info, reloads: true, "The least level that is logged")
        }
    }
}
