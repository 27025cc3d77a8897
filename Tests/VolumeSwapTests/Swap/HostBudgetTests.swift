import Basics
import Budgets
import Foundation
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

/// A clock that stands until it is moved; then it runs what has come due.
private final class StandingClock: SwapClock {
    private struct State {
        var passed = Duration.zero
        var next = 0
        var actions: [Int: (at: Duration, run: @Sendable () -> Void)] = [:]
    }

    private let start = ContinuousClock.now
    private let state = Mutex(State())
    private let midnight: Date

    init(_ midnight: Date) { self.midnight = midnight }

    var now: ContinuousClock.Instant { start + state.withLock { $0.passed } }
    var date: Date { midnight.addingTimeInterval(state.withLock { $0.passed } / .seconds(1)) }

    func sleep(for duration: Duration) async throws {}

    func schedule(after duration: Duration, _ action: @escaping @Sendable () -> Void) -> ScheduledAction {
        let id = state.withLock { state in
            state.next += 1
            state.actions[state.next] = (state.passed + duration, action)
            return state.next
        }
        return ScheduledAction { [weak self] in self?.state.withLock { _ = $0.actions.removeValue(forKey: id) } }
    }

    func move(_ duration: Duration) {
        let end = state.withLock { $0.passed } + duration
        while let due = state.withLock({ state -> (@Sendable () -> Void)? in
            guard let first = state.actions.filter({ $0.value.at <= end }).min(by: { $0.value.at < $1.value.at }) else {
                return nil
            }
            state.passed = max(state.passed, first.value.at)
            state.actions[first.key] = nil
            return first.value.run
        }) { due() }
        state.withLock { $0.passed = end }
    }
}

@Suite("The host's budget")
struct HostBudgetTests {
    private let clock = StandingClock(Calendar.current.startOfDay(for: Date(timeIntervalSince1970: 1_795_000_000)))
    private static let mib: Int64 = 1 << 20

    /// Speeds as applied, in MiB/s.
    private final class Speeds: Sendable {
        private let state = Mutex<[String: Int64]>([:])

        func apply(_ name: String) -> @Sendable (Int64) -> Void { { [self] speed in set(name, speed) } }
        func set(_ name: String, _ speed: Int64) { state.withLock { $0[name] = speed / (1 << 20) } }
        subscript(_ name: String) -> Int64? { state.withLock { $0[name] } }
    }

    /// Counts how often swaps are matched with rules, for which their volumes are read.
    private final class Matches: Sendable {
        private let state = Mutex(0)

        var count: Int { state.withLock { $0 } }

        func counted(_ volumes: @escaping HostBudget.Volumes) -> HostBudget.Volumes {
            { [self] in
                state.withLock { $0 += 1 }
                return volumes()
            }
        }
    }

    private func volumes(_ from: String, _ to: String = "rbd") -> HostBudget.Volumes {
        { BudgetVolumes(source: BudgetVolume(driver: from, places: []), destination: BudgetVolume(driver: to, places: [])) }
    }

    private func budget(bandwidth: Int64 = 0, schedule: String? = nil, _ rules: String = "[]") throws -> HostBudget {
        let budget = HostBudget(clock: clock)
        budget.change(try settings(bandwidth: bandwidth, schedule: schedule, rules))
        return budget
    }

    private func settings(bandwidth: Int64 = 0, schedule: String? = nil, _ rules: String = "[]") throws -> BudgetSettings {
        var settings = BudgetSettings()
        settings.bandwidthMiBs = bandwidth
        settings.schedule = schedule.flatMap { BandwidthSchedule($0) }
        settings.rules = try #require(BudgetRule.rules(json: rules))
        return settings
    }

    private func begin(_ budget: HostBudget, _ speeds: Speeds, _ name: String, from: String = "nfs", limit: Int64 = 0) {
        #expect(budget.admit(TaskID(name), volumes(from), isBegun: true) == nil)
        let speed = budget.beginCopy(TaskID(name), limit: limit * Self.mib, apply: speeds.apply(name))
        speeds.set(name, speed)
    }

    @Test("Copies share the host's bandwidth, and get more when one ends")
    func shares() throws {
        let (budget, speeds) = (try budget(bandwidth: 90), Speeds())
        begin(budget, speeds, "a")
        #expect(speeds["a"] == 90)
        #expect(budget.speed(ofOneMore: volumes("nfs"), limit: 0) == 45 * Self.mib)
        #expect(budget.speed(ofOneMore: volumes("nfs"), limit: 5 * Self.mib) == 5 * Self.mib)
        #expect(speeds["a"] == 90)
        begin(budget, speeds, "b")
        begin(budget, speeds, "c", limit: 10)
        #expect(speeds["a"] == 40 && speeds["b"] == 40 && speeds["c"] == 10)
        budget.changeCopy(TaskID("c"), limit: 0)
        #expect(speeds["a"] == 30 && speeds["b"] == 30 && speeds["c"] == 30)
        budget.endCopy(TaskID("a"))
        #expect(speeds["b"] == 45 && speeds["c"] == 45)
        budget.change(try settings())
        #expect(speeds["b"] == 0 && speeds["c"] == 0)
        budget.changeCopy(TaskID("b"), limit: 7 * Self.mib)
        #expect(speeds["b"] == 7 && speeds["c"] == 0)
    }

    @Test("A limit holds for the copies that match it")
    func rules() throws {
        let (budget, speeds) = (try budget(#"[{"match": {"side": "source", "driver": "nfs"}, "bandwidth_mib_s": 20}]"#), Speeds())
        begin(budget, speeds, "a")
        begin(budget, speeds, "b", from: "lvm")
        begin(budget, speeds, "c")
        #expect(speeds["a"] == 10 && speeds["b"] == 0 && speeds["c"] == 10)
    }

    @Test("The schedule's pauses are reported when they begin and end, whatever runs")
    func pauses() throws {
        let told = Mutex<[Bool]>([])
        let budget = try budget(schedule: "06:00 50; 08:00 pause; 20:00 pause; 22:00 0")
        budget.onPause { isPaused in told.withLock { $0.append(isPaused) } }
        #expect(told.withLock { $0 } == [])
        clock.move(.seconds(7 * 3600))
        #expect(told.withLock { $0 } == [])
        clock.move(.seconds(3600 + 1))
        #expect(told.withLock { $0 } == [true])
        budget.change(try settings(schedule: "06:00 50; 08:00 pause"))
        #expect(told.withLock { $0 } == [true])
        clock.move(.seconds(24 * 3600))
        #expect(told.withLock { $0 } == [true, false, true])
        budget.change(try settings())
        #expect(told.withLock { $0 } == [true, false, true, false])
    }

    @Test("The schedule changes the speed of what runs, and the lower of both limits holds")
    func schedule() throws {
        let (budget, speeds) = (try budget(bandwidth: 80, schedule: "06:00 50; 22:00 0"), Speeds())
        begin(budget, speeds, "a")
        #expect(speeds["a"] == 80 && budget.bandwidth == 80 * Self.mib)
        clock.move(.seconds(6 * 3600 - 1))
        #expect(speeds["a"] == 80)
        clock.move(.seconds(2))
        #expect(speeds["a"] == 50 && budget.bandwidth == 50 * Self.mib)
        clock.move(.seconds(16 * 3600))
        #expect(speeds["a"] == 80)
        budget.endCopy(TaskID("a"))
    }

    @Test("At most as many swaps as a limit allows, in order of arrival; what has begun before a restart does not wait")
    func places() throws {
        let budget = try budget(
            #"[{"match": {"driver": "nfs"}, "concurrent": 2}, {"match": {"driver": "lvm"}, "concurrent": 1}]"#)
        #expect(budget.admit(TaskID("a"), volumes("nfs"), isBegun: false) == nil)
        #expect(budget.admit(TaskID("b"), volumes("nfs", "lvm"), isBegun: false) == nil)
        let third = try #require(budget.admit(TaskID("c"), volumes("nfs"), isBegun: false))
        #expect(third.rule == "either driver=nfs")
        #expect(budget.admit(TaskID("d"), volumes("nfs"), isBegun: true) == nil)
        let fifth = try #require(budget.admit(TaskID("e"), volumes("lvm"), isBegun: false))
        #expect(fifth.rule == "either driver=lvm")
        #expect(budget.admit(TaskID("f"), volumes("rbd"), isBegun: false) == nil)
        budget.leave(TaskID("b"))
        #expect(!third.waiter.isResumed && fifth.waiter.isResumed)
        budget.leave(TaskID("d"))
        #expect(third.waiter.isResumed)
        let later = try #require(budget.admit(TaskID("g"), volumes("nfs"), isBegun: false))
        budget.change(try settings())
        #expect(later.waiter.isResumed)
    }

    @Test("However many wait, each is matched with the rules once, and a place goes to the first that may have it")
    func crowd() throws {
        let count = 2000
        let budget = try budget(
            #"[{"match": {"driver": "nfs"}, "concurrent": 2}, {"match": {"driver": "lvm"}, "concurrent": 1}]"#)
        let matches = Matches()
        let waits = (0..<count).map { index in
            let volumes = matches.counted(volumes(index.isMultiple(of: 2) ? "nfs" : "lvm"))
            return budget.admit(TaskID("\(index)"), volumes, isBegun: false)
        }
        func admitted() -> [Int] { waits.indices.filter { waits[$0]?.waiter.isResumed ?? true } }
        #expect(admitted() == [0, 1, 2])
        budget.leave(TaskID("1"))
        #expect(admitted() == [0, 1, 2, 3])
        budget.leave(TaskID("0"))
        #expect(admitted() == [0, 1, 2, 3, 4] && budget.waiting == count - 5)
        #expect(matches.count == count)
        let rules = #"[{"match": {"driver": "nfs"}, "concurrent": 4}]"#
        budget.change(try settings(rules))
        #expect(admitted() == Array(0..<9) + stride(from: 9, to: count, by: 2))
        // Those that have left are not matched again, nor any because of what is no rule.
        #expect(matches.count == 2 * count - 2)
        budget.change(try settings(bandwidth: 10, rules))
        #expect(matches.count == 2 * count - 2)
    }

    @Test(
        "The place of a network volume has a port, its protocol's if connection_info states none",
        arguments: [
            ("nbd", ["host": "nbd1"], ["nbd1", "nbd1:10809"]), ("nbd", ["host": "nbd1", "port": 9], ["nbd1:9"]),
            ("rbd", ["name": "pool/v", "hosts": ["fd00::13"]], ["[fd00::13]:6789", "fd00::13:6789", "pool/v"]),
            ("rbd", ["name": "pool/v", "hosts": ["fd00::13"], "ports": ["3300"]], ["[fd00::13]:3300", "fd00::13:3300"]),
            (
                "iscsi", ["target_portal": "[fd00::13]:3260", "target_iqn": "iqn.2010-10.org.openstack:v", "target_lun": 1],
                ["[fd00::13]:3260", "fd00::13:3260"]
            ),
        ] as [(String, JSONValue, [String])])
    func networkPlaces(type: String, data: JSONValue, places: [String]) throws {
        let json: JSONValue = ["driver_volume_type": .string(type), "data": data]
        let connection = try ConnectionInfo(json: json, argument: "new_connection_info")
        let found = connection.budgetVolume(VolumeSettings(allowedPaths: PathPolicy([]))).places
        #expect(places.allSatisfy(found.contains), "\(found)")
        let ports = [9, 3260, 3300, 6789, 10809].filter { port in found.contains { $0.hasSuffix(":\(port)") } }
        #expect(ports.count == 1, "a stated port is the only one: \(found)")
    }

    @Test("A ceiling is one more bound: the least of it, the copy's own limit and its share holds")
    func ceilings() {
        let budget = HostBudget(clock: clock)
        let speeds = Speeds()
        #expect(budget.beginCopy(TaskID("a"), limit: 0, ceiling: 8 * Self.mib, apply: speeds.apply("a")) == 8 * Self.mib)
        budget.changeCopy(TaskID("a"), ceiling: 16 * Self.mib)
        #expect(speeds["a"] == 16)
        budget.changeCopy(TaskID("a"), limit: 4 * Self.mib)
        #expect(speeds["a"] == 4)
        budget.changeCopy(TaskID("a"), ceiling: 2 * Self.mib)
        #expect(speeds["a"] == 2)
        budget.changeCopy(TaskID("a"), limit: 0)
        #expect(speeds["a"] == 2)
        var settings = BudgetSettings()
        settings.bandwidthMiBs = 10
        budget.change(settings)
        #expect(budget.speed(of: TaskID("a")) == 2 * Self.mib)
        #expect(budget.beginCopy(TaskID("b"), limit: 0, apply: speeds.apply("b")) == 8 * Self.mib)
        budget.changeCopy(TaskID("a"), ceiling: 100 * Self.mib)
        #expect(speeds["a"] == 5 && speeds["b"] == 5)
        budget.change(BudgetSettings())
        #expect(speeds["a"] == 100 && speeds["b"] == 0)
        budget.changeCopy(TaskID("gone"), ceiling: 1)
    }
}
