import Foundation

/// The process's own metrics, named as in Prometheus' client libraries and read from /proc at each scrape.
package enum ProcessMetrics {
    private static let help = [
        "process_cpu_seconds_total": "Total user and system CPU time spent in seconds.",
        "process_resident_memory_bytes": "Resident memory size in bytes.",
        "process_threads": "Number of threads of the process.",
        "process_start_time_seconds": "Start time of the process since unix epoch in seconds.",
        "process_open_fds": "Number of open file descriptors.",
        "pivotd_log_lines_dropped_total": "Log lines dropped because their reader was too slow.",
    ]

    /// Sample lines in the Prometheus text format, to follow those of ``PrometheusRegistry/text()``.
    ///
    /// Metrics missing in /proc are omitted.
    package static func text() -> String {
        var text = ""
        if let stat = contents("/proc/self/stat"), let fields = fields(ofStat: stat), fields.count > 21 {
            let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
            if let user = Double(fields[11]), let system = Double(fields[12]) {
                text += sample("process_cpu_seconds_total", "counter", (user + system) / ticks)
            }
            if let pages = Double(fields[21]) {
                text += sample("process_resident_memory_bytes", "gauge", pages * Double(sysconf(Int32(_SC_PAGESIZE))))
            }
            if let threads = Double(fields[17]) { text += sample("process_threads", "gauge", threads) }
            if let start = Double(fields[19]), let boot = bootTime() {
                text += sample("process_start_time_seconds", "gauge", boot + start / ticks)
            }
        }
        if let descriptors = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            text += sample("process_open_fds", "gauge", Double(descriptors.count))
        }
        text += sample("pivotd_log_lines_dropped_total", "counter", Double(LogOutput.standardError.dropped))
        return text
    }

    /// The fields after the process's name, which may itself contain blanks and parentheses; the first is the state.
    static func fields(ofStat stat: String) -> [Substring]? {
        guard let end = stat.lastIndex(of: ")") else { return nil }
        return stat[stat.index(after: end)...].split { $0 == " " || $0 == "\n" }
    }

    private static func bootTime() -> Double? {
        let line = contents("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line?.split(separator: " ").last.flatMap { Double($0) }
    }

    private static func contents(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }

    private static func sample(_ name: String, _ type: String, _ value: Double) -> String {
        "# HELP \(name) \(help[name] ?? "")\n# TYPE \(name) \(type)\n\(name) \(MetricName.value(value))\n"
    }
}
