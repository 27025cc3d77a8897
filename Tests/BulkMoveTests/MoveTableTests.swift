import Testing

@testable import BulkMove

@Suite("A move's table")
struct MoveTableTests {
    private func row(_ number: Int, _ state: String, running: Bool = false, _ fraction: Double? = nil) -> MoveTable.Row {
        MoveTable.Row(
            number: number, host: "compute-with-a-long-name", place: "7f0c4a5e/vdb", state: state, isRunning: running,
            fraction: fraction, rate: running ? "99.9 MiB/s" : "", left: running ? "10:05 min" : "")
    }

    @Test("It fits 80 columns, whatever is in it")
    func width() {
        let rows = [row(1, "copying", running: true, 0.5), row(2, "unreachable"), row(10_000, "completed", 1)]
        let lines = MoveTable.lines(rows, columns: 80, height: 24)
        #expect(lines.allSatisfy { $0.count < 80 })
        #expect(lines[1] == "   1 compute-w~ 7f0c4a5e/vdb  copying     [####....]  50 % 99.9 MiB/s 10:05 min")
        #expect(lines[3].contains("[########] 100 %"))
        #expect(MoveTable.lines(rows, columns: 40, height: 24).allSatisfy { $0.count < 40 })
    }

    @Test("Running lines come first, then bad ends, then those to come, then the finished")
    func order() {
        let rows = [
            row(1, "completed"), row(2, "pending"), row(3, "failed"), row(4, "copying", running: true), row(5, "completed"),
        ]
        let lines = MoveTable.lines(rows, columns: 80, height: 24)
        #expect(lines.dropFirst().dropLast().map { $0.prefix(4).trimmingPrefix { $0 == " " } } == ["4", "3", "2", "1", "5"])
        #expect(lines.last == "1 copying, 1 failed, 1 pending, 2 completed")
    }

    @Test("What the terminal has no room for is summed up")
    func height() {
        let rows = (1...300).map { row($0, $0 <= 8 ? "copying" : "pending", running: $0 <= 8) }
        let lines = MoveTable.lines(rows, columns: 80, height: 13)
        #expect(lines.count == 12)
        #expect(lines[10] == "     and 291 more: 291 pending")
        #expect(lines[11] == "8 copying, 292 pending")
    }
}
