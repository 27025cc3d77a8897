package import Logging
package import Observability

extension PivotdConfiguration {
    /// Settings of the process itself.
    package struct Daemon: Sendable {
        /// The journal's directory.
        package var stateDirectory: String
        /// Where the health pages are served; nil disables them.
        package var httpAddress: ListenAddress?
        /// Swaps running at once, each of a different instance.
        package var maxConcurrentSwaps: Int
        /// From SIGTERM to the end of the process, at most.
        package var drainTimeout: Duration
        /// How long writing the stored configuration is retried after the pivot.
        package var storeRetry: Duration
        /// Minimum time between progress notifications of a swap.
        package var progressInterval: Duration
        /// How long finished swaps are kept.
        package var journalRetention: Duration
        package var logFormat: LoggingSetup.Format
        package var logLevel: Logger.Level

        init(reader: inout ConfigurationReader) {
            reader.section = .daemon
            stateDirectory = reader.path("state_dir", default: "/var/lib/pivotd", "The journal's directory")
            httpAddress = ListenAddress(
                reader.listenAddress(
                    "http_address", default: "127.0.0.1:9178",
                    "Where the page /, /livez, /readyz and /metrics are served; empty to disable"))
            maxConcurrentSwaps = reader.integer(
                "max_concurrent_swaps", default: 8, 1...1024, reloads: true,
                "Maximum number of swaps running at once, each of a different instance")
            drainTimeout = reader.seconds(
                "drain_timeout_s", default: 10, 0...3600, reloads: true, "Seconds within which the worker exits after SIGTERM")
            storeRetry = reader.seconds(
                "store_retry_s", default: 3600, 0...604_800, reloads: true,
                "Seconds for which writing the stored configuration is retried after the pivot")
            progressInterval = reader.seconds(
                "progress_interval_s", default: 5, 0.1...86_400, "Seconds between progress notifications of a swap")
            let hours = reader.integer(
                "journal_retention_h", default: 168, 1...876_000, "Hours for which finished swaps are kept")
            journalRetention = .seconds(hours * 3600)
            logFormat = reader.choice("log_format", default: .text, "Format of log lines")
            logLevel = reader.choice("log_level", default: .info, reloads: true, "Minimum level to log")
        }
    }
}
