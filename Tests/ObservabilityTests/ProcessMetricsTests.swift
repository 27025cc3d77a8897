import Foundation
import Testing

@testable import Observability

@Suite struct ProcessMetricsTests {
    @Test func figuresAreOfThisProcess() throws {
        let samples = ProcessMetrics.text().split(separator: "\n").filter { !$0.hasPrefix("#") }.map { $0.split(separator: " ") }
        let values = Dictionary(samples.map { (String($0[0]), Double($0[1]) ?? -1) }) { $1 }
        #expect(values.count == 6)
        #expect(try #require(values["process_resident_memory_bytes"]) > 1_000_000)
        #expect(try #require(values["process_open_fds"]) > 2)
        #expect(try #require(values["process_threads"]) >= 1)
        #expect(try #require(values["process_cpu_seconds_total"]) >= 0)
        #expect(values["pivotd_log_lines_dropped_total"] == 0)
        let start = try #require(values["process_start_time_seconds"])
        #expect(abs(Date().timeIntervalSince1970 - start) < 3600)
    }

    @Test func aNameWithParenthesesIsSkipped() {
        #expect(ProcessMetrics.fields(ofStat: "1 (a) b) S 2 3\n") == ["S", "2", "3"])
    }
}
