import Foundation
import JSON
import Testing

@testable import pivotd

@Suite struct StatusTableTests {
    private static let now = Date(timeIntervalSince1970: 1_700_000_000)
    private static let instance = "7f0c4a5e-3a39-4b8a-9f0e-2b6d0d0c7a11"

    private static func swap(_ id: String, _ state: String, at second: Int, _ more: JSONObject = [:]) -> JSONValue {
        var swap: JSONObject = [
            "task_id": .string(id), "instance_uuid": .string(instance), "disk": "vdb", "state": .string(state),
            "accepted_at": .string("2023-11-14T22:00:\(second)Z"),
        ]
        swap.merge(more)
        return .object(swap)
    }

    private static let copying = swap(
        "9f1d1c0a7b5e4a7e8c2d3b4a5f607182", "copying", at: 20,
        [
            "progress": [
                "copied_bytes": 1_099_511_627_775, "total_bytes": 1_099_511_627_776, "rate_bytes_s": 1_072_693_248,
                "limit_bytes_s": 1_072_693_248, "eta_s": 172_000,
            ]
        ])

    private let table = StatusTable(columns: 80, now: now)

    @Test func theWidestRowFits() {
        let list = table.list([Self.copying])
        #expect(
            list == """
                TASK      INSTANCE  DISK  STATE    AGE     COPIED  RATE/s    LIMIT/s   LEFT
                9f1d1c0a  7f0c4a5e  vdb   copying  13m00s  99 %    1023 MiB  1023 MiB  47h46m
                """)
        #expect(list.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }

    @Test func runningComesBeforeWaitingAndEndedNewestFirst() {
        let swaps = [
            Self.swap(
                "e1", "failed", at: 10, ["finished_at": "2023-11-14T22:05:00Z", "reason_code": "no_space", "in_use": "old"]),
            Self.swap("q2", "queued", at: 40, ["waits_for": "instance"]),
            Self.swap(
                "e2", "completed", at: 11,
                [
                    "finished_at": "2023-11-14T22:06:00Z", "progress": ["copied_bytes": 1_073_741_824],
                    "result": ["duration_s": 65.2],
                ]),
            Self.swap("q1", "queued", at: 30, ["waits_for": "limit: source where=\(String(repeating: "x", count: 90))"]),
            Self.swap("r2", "copying", at: 50), Self.swap("r1", "pivoting", at: 15, ["detail": "the pivot is under way"]),
        ]
        let lines = table.list(swaps).split(separator: "\n").map(String.init)
        #expect(lines.map { $0.prefix(2) } == ["TA", "r1", "  ", "r2", "q1", "q2", "e2", "e1"])
        #expect(lines[2] == "  the pivot is under way")
        #expect(lines[4].hasSuffix("…") && lines[4].count == 80)
        #expect(lines[5].hasSuffix("waits for instance"))
        #expect(lines[6].hasSuffix("1.0 GiB in 1m05s"))
        #expect(lines[7].hasSuffix("no_space, on the old volume"))
    }

    @Test func aVolumeInUseThatIsUnknownIsSaidToBe() {
        let failed = Self.swap(
            "9f1d1c0a7b5e4a7e8c2d3b4a5f607182", "failed", at: 10,
            ["finished_at": "2023-11-14T22:05:00Z", "reason_code": "invalid_argument", "in_use": "unknown"])
        #expect(table.list([failed, Self.swap("t", "completed", at: 11)]).contains("  invalid_argument, in use: unknown\n"))
    }

    @Test func idsAreAsLongAsTheyHaveToBe() {
        let list = table.list([Self.swap("12345678-a", "copying", at: 10), Self.swap("12345678-b", "copying", at: 11)])
        #expect(list.contains("\n12345678-a ") && list.contains("\n12345678-b "))
        var full = table
        full.hasFullIDs = true
        #expect(full.list([Self.copying]).contains("9f1d1c0a7b5e4a7e8c2d3b4a5f607182  \(Self.instance)  vdb"))
        #expect(table.list([Self.swap("t", "queued", at: 10, ["instance_uuid": "instance-0000002a"])]).contains(" …000002a "))
        #expect(table.list([]) == "no swaps")
    }

    @Test func escapeSequencesDoNotReachTheTerminal() {
        let list = table.list([Self.swap("t", "queued", at: 10, ["waits_for": "\u{1B}[2J", "instance_uuid": "a\u{9B}b"])])
        #expect(!list.unicodeScalars.contains("\u{1B}") && !list.unicodeScalars.contains("\u{9B}"))
    }

    @Test func aDetailIsWrappedOnATerminalAndWholeElsewhere() {
        guard case .object(var swap) = Self.copying else { return }
        let detail = String(repeating: "the copy has not advanced ", count: 10) + "over 1 min"
        swap["detail"] = .string(detail)
        var table = table
        let lines = table.list([.object(swap)]).split(separator: "\n")
        #expect(lines.count > 4 && lines.allSatisfy { $0.count <= 80 && !$0.hasSuffix("…") })
        #expect(lines[2...].map { $0.dropFirst(2) }.joined(separator: " ") == detail)
        table.isFitted = false
        let whole = table.list([.object(swap), Self.swap("q", "queued", at: 30, ["waits_for": .string("limit: " + detail)])])
        #expect(whole.contains("\n  \(detail)\n") && whole.hasSuffix("waits for limit: \(detail)"))
    }

    @Test func aTerminalsHeightKeepsTheFirstTasksAndCountsTheOthers() {
        let ended = (10..<50).map { second in
            Self.swap("e\(second)", "completed", at: second, ["finished_at": .string("2023-11-14T22:05:\(second)Z")])
        }
        let running = Self.swap("r1", "copying", at: 15, ["detail": .string(String(repeating: "the copy waits ", count: 10))])
        var table = table
        table.height = 12
        let lines = table.list(ended + [running]).split(separator: "\n").map(String.init)
        #expect(lines.count == 12 && lines[0].hasPrefix("TASK") && lines[1].hasPrefix("r1") && lines[2].hasPrefix("  the copy"))
        #expect(lines[4].hasPrefix("e49") && lines[11] == "and 33 more")
        table.height = 42
        #expect(table.list(ended).split(separator: "\n").count == 41, "all fit")
        table.height = 12
        table.columns = 40
        #expect(table.list([running]).split(separator: "\n").allSatisfy { $0.count <= 40 })
        table.hasFullIDs = true
        let wide = table.list(ended).split(separator: "\n")
        #expect(wide.count == 6 && wide[5] == "and 36 more", "the header takes three lines of this terminal, a task two")
        table.height = 1
        #expect(table.list([running]).split(separator: "\n").map { $0.prefix(4) } == ["TASK", "and "])
    }

    @Test func detailsShowTheLimitAndFit() {
        guard case .object(var swap) = Self.copying else { return }
        swap["detail"] = .string(String(repeating: "the domain does not respond ", count: 10))
        let details = table.details(.object(swap))
        #expect(details.contains("limit:          1023 MiB/s"))
        #expect(details.split(separator: "\n").allSatisfy { $0.count <= 80 })
    }
}
