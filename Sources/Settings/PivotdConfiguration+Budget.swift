package import Budgets

extension PivotdConfiguration {
    /// What the host's swaps share.
    package struct Budget: Sendable {
        /// MiB/s of all copies together; 0 for no limit.
        package var bandwidthMiBPerSecond: Int
        /// MiB/s of all copies together, by time of day.
        package var schedule: BandwidthSchedule?
        /// What copies from or to certain volumes share.
        package var rules: [BudgetRule]

        init(reader: inout ConfigurationReader) {
            reader.section = .daemon
            bandwidthMiBPerSecond = reader.integer(
                "host_bandwidth_mib_s", default: 0, 0...8_388_607, reloads: true,
                "Bandwidth of all copies together in MiB/s, divided among those that run; 0 for no limit")
            schedule = reader.schedule(
                "schedule", reloads: true,
                "Bandwidth of all copies together by local time of day in MiB/s, such as 22:00 0; 06:00 50; 0 for no limit; pause instead lets no swap begin"
            )
            rules = reader.rules(
                "limits", reloads: true,
                "Bandwidth in MiB/s, and number of swaps at a time, of the copies from or to volumes that a pattern matches")
        }
    }
}
