import Foundation
import Testing

@testable import Budgets

@Suite("Dividing bandwidth")
struct BandwidthDivisionTests {
    private static let mib: Int64 = 1 << 20

    private func shares(_ copies: [(Int64?, [Int])], _ budgets: [Int: Int64]) -> [Int64?] {
        let copies = Dictionary(
            uniqueKeysWithValues: copies.enumerated().map { index, copy in
                (index, BandwidthDivision.Copy(limit: copy.0.map { $0 * Self.mib }, budgets: copy.1))
            })
        let shares = BandwidthDivision.shares(of: copies, budgets: budgets.mapValues { $0 * Self.mib })
        return copies.keys.sorted().map { shares[$0].flatMap { $0 }.map { $0 / Self.mib } }
    }

    @Test("Equal shares, without a limit none; a copy's own limit stays an upper bound")
    func equal() {
        #expect(shares([(nil, [0]), (nil, [0])], [0: 100]) == [50, 50])
        #expect(shares([(nil, []), (30, [])], [:]) == [nil, 30])
        #expect(shares([(nil, [0])], [:]) == [nil])
        #expect(shares([(30, [0])], [0: 100]) == [30])
    }

    @Test("What one does not use goes to the others")
    func spare() {
        #expect(shares([(10, [0]), (nil, [0]), (nil, [0])], [0: 100]) == [10, 45, 45])
        #expect(shares([(10, [0]), (20, [0]), (nil, [0])], [0: 100]) == [10, 20, 70])
    }

    @Test("A copy in several budgets gets the least of them, and leaves the rest of the others")
    func nested() {
        #expect(shares([(nil, [0, 1]), (nil, [0, 1]), (nil, [0])], [0: 100, 1: 20]) == [10, 10, 80])
        #expect(shares([(nil, [0, 1]), (nil, [0, 2])], [0: 100, 1: 30, 2: 500]) == [30, 70])
    }

    @Test("However many share, each gets enough to end")
    func least() {
        let copies = Dictionary(uniqueKeysWithValues: (0..<100).map { ($0, BandwidthDivision.Copy(limit: nil, budgets: [0])) })
        let shares = BandwidthDivision.shares(of: copies, budgets: [0: 1 << 20])
        #expect(shares.values.allSatisfy { $0 == BandwidthDivision.least })
    }

    @Test("No budget is exceeded, no copy gets more than its limit, and none could get more", arguments: 0..<200)
    func random(seed: Int) {
        var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let budgets = Dictionary(uniqueKeysWithValues: (0..<next(4)).map { ($0, Int64(1 + next(1000)) * Self.mib) })
        let copies = Dictionary(
            uniqueKeysWithValues: (0..<1 + next(8)).map { id in
                let limit = next(2) == 0 ? nil : Int64(1 + next(500)) * Self.mib
                return (id, BandwidthDivision.Copy(limit: limit, budgets: (0..<4).filter { _ in next(2) == 0 }))
            })
        let shares = BandwidthDivision.shares(of: copies, budgets: budgets)
        func used(_ budget: Int) -> Int64 {
            copies.filter { $0.value.budgets.contains(budget) }.keys.reduce(0) { $0 + (shares[$1].flatMap { $0 } ?? 0) }
        }
        #expect(Set(shares.keys) == Set(copies.keys))
        for (budget, limit) in budgets { #expect(used(budget) <= limit) }
        for (id, copy) in copies {
            let share = shares[id].flatMap { $0 } ?? Int64.max
            if let limit = copy.limit { #expect(share <= limit) }
            let isFull = copy.budgets.contains { budget in budgets[budget].map { $0 - used(budget) < 8 } ?? false }
            #expect(isFull || copy.limit == share || share == .max)
        }
    }
}

@Suite("The schedule")
struct BandwidthScheduleTests {
    private var calendar: Calendar {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = TimeZone(identifier: "Europe/Berlin") ?? .gmt
        return calendar
    }

    private func date(_ text: String) throws -> Date {
        let format = Date.ISO8601FormatStyle(timeZone: calendar.timeZone).year().month().day().time(
            includingFractionalSeconds: false)
        return try Date(text, strategy: format)
    }

    @Test("The last entry before a time holds, over midnight, too")
    func limits() throws {
        let schedule = try #require(BandwidthSchedule("22:00 0; 06:00 50"))
        for (time, limit) in [("05:59:59", 0), ("06:00:00", 50), ("21:59:59", 50), ("22:00:00", 0), ("00:00:00", 0)] {
            #expect(schedule.limit(at: try date("2026-11-29T\(time)"), in: calendar) == Int64(limit), "\(time)")
        }
        #expect(schedule.description == "06:00 50; 22:00 0")
        #expect(schedule.nextChange(after: try date("2026-11-29T21:00:00"), in: calendar) == (try date("2026-11-29T22:00:00")))
        #expect(schedule.nextChange(after: try date("2026-11-29T22:00:00"), in: calendar) == (try date("2026-11-30T06:00:00")))
    }

    @Test("A pause lasts until the next number, and leaves the limit of those that run")
    func pauses() throws {
        let schedule = try #require(BandwidthSchedule("22:00 0; 06:00 50; 08:00 pause;20:00  pause"))
        let times = [
            ("21:59:59", true, 50), ("22:00:00", false, 0), ("00:00:00", false, 0), ("07:59:59", false, 50),
            ("08:00:00", true, 50),
        ]
        for (time, isPaused, limit) in times {
            let date = try date("2026-11-29T\(time)")
            #expect(schedule.isPaused(at: date, in: calendar) == isPaused, "\(time)")
            #expect(schedule.limit(at: date, in: calendar) == Int64(limit), "\(time)")
        }
        #expect(schedule.description == "06:00 50; 08:00 pause; 20:00 pause; 22:00 0" && schedule.hasPauses)
        #expect(schedule.nextChange(after: try date("2026-11-29T07:00:00"), in: calendar) == (try date("2026-11-29T08:00:00")))
        let overNight = try #require(BandwidthSchedule("08:00 0; 18:00 pause"))
        for (time, isPaused) in [("18:00:00", true), ("03:00:00", true), ("08:00:00", false)] {
            #expect(overNight.isPaused(at: try date("2026-11-29T\(time)"), in: calendar) == isPaused, "\(time)")
        }
        #expect(BandwidthSchedule("22:00 0")?.hasPauses == false)
    }

    @Test("On the night when the clock is set back, it is still six hours to six by the wall clock")
    func summerTime() throws {
        let schedule = try #require(BandwidthSchedule("06:00 50"))
        let midnight = try date("2026-10-25T00:00:00")
        #expect(schedule.nextChange(after: midnight, in: calendar).timeIntervalSince(midnight) == 7 * 3600)
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "", "22:00", "24:00 1", "1:60 1", "22:00 -1", "22:00 1, 06:00 2", "6:00 1; 06:00 2", "x", "06:00 pause",
            "06:00 Pause; 07:00 1", "06:00 paused; 07:00 1",
        ])
    func refused(text: String) { #expect(BandwidthSchedule(text) == nil) }
}

@Suite("Rules")
struct BudgetRuleTests {
    private let filer = BudgetVolume(driver: "nfs", places: ["/mnt/abc/volume-1", "filer1:/export"])
    private let ceph = BudgetVolume(driver: "rbd", places: ["volumes/volume-2", "ceph1:6789"])

    @Test("A rule looks at the side that it names, by driver and place")
    func matches() throws {
        let rules = try #require(
            BudgetRule.rules(
                json: """
                    [{"match": {"side": "source", "where": "filer1:*"}, "concurrent": 2},
                     {"match": {"driver": "rbd"}, "bandwidth_mib_s": 300}, {"concurrent": 5}]
                    """))
        #expect(rules.map { $0.applies(from: filer, to: ceph) } == [true, true, true])
        #expect(rules.map { $0.applies(from: ceph, to: filer) } == [false, true, true])
        #expect(rules.map { $0.applies(from: filer, to: filer) } == [true, false, true])
        #expect(rules.map(\.name) == ["source where=filer1:*", "either driver=rbd", "either"])
        #expect(rules.map(\.concurrent) == [2, 0, 5] && rules[1].bandwidthMiBs == 300)
        #expect(BudgetRule.rules(json: BudgetRule.json(rules)) == rules)
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "", "{}", "[1]", #"[{"matches": {}}]"#, #"[{"match": {"host": "x"}}]"#, #"[{"match": {"side": "both"}}]"#,
            #"[{"concurrent": -1}]"#, #"[{"concurrent": 1.5}]"#, #"[{"bandwidth_mib_s": "9"}]"#,
            // They limit nothing.
            "[{}]", #"[{"match": {"driver": "rbd"}}]"#, #"[{"concurrent": 1}, {"concurrent": null}]"#,
        ])
    func refused(text: String) { #expect(BudgetRule.rules(json: text) == nil) }

    @Test(
        "What is wrong is named with its place",
        arguments: [
            (
                #"[{"concurrent": 1}, {"match": {"side": "sources"}}]"#,
                "limits[1].match.side must be source, destination or either"
            ),
            (#"[{"match": {"side": "source"}}]"#, "limits[0] must have bandwidth_mib_s or concurrent"),
            (#"[{"match": {"driver": 1}}]"#, "limits[0].match.driver must be a string"),
            (#"[{"match": {"host": "x"}}]"#, "limits[0].match.host is not known"),
            (#"[{"match": "nfs"}]"#, "limits[0].match must be a mapping"),
            (#"[{"concurrent": 1.5}]"#, "limits[0].concurrent must be an integer from 0 to 100000"),
            (#"[{"bandwidth_mib_s": -1}]"#, "limits[0].bandwidth_mib_s must be an integer from 0 to 8388607"),
            ("[1]", "limits[0] must be a mapping"), ("{}", "limits must be a list"), ("[", "limits is not JSON"),
            (#"[{"match": {"side": "source"}, "concurrent": 1}]"#, nil),
        ] as [(String, String?)])
    func fault(text: String, fault: String?) { #expect(BudgetRule.fault(json: text, of: "limits") == fault) }

    @Test("A rule is called what its configuration says")
    func names() throws {
        let text = #"[{"match": {"driver": "NFS", "where": "Filer1:/Export*"}, "concurrent": 1}]"#
        let rules = try #require(BudgetRule.rules(json: text))
        #expect(rules.map(\.name) == ["either driver=NFS where=Filer1:/Export*"])
        #expect(BudgetRule.json(rules).contains(#""where":"Filer1:/Export*""#))
        #expect(rules[0].applies(from: filer, to: ceph))
    }

    @Test(
        "Patterns",
        arguments: [
            ("*", "", true), ("filer1:*", "filer1:/a/b", true), ("a?c", "abc", true), ("a?c", "ac", false),
            ("*/vol-*", "pool/vol-1", true), ("RBD", "rbd", true), ("a*b*c", "a-b-b-c", true), ("a*b", "acd", false),
        ])
    func globs(pattern: String, text: String, matches: Bool) { #expect(Glob(pattern).matches(text) == matches) }
}
