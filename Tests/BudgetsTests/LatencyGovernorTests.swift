import Foundation
import Testing

@testable import Budgets

/// A slow disk that a guest and a copy share, with a guest that has one request in flight at a time.
private struct SimulatedDisk {
    /// bytes/s that it reads and writes together.
    let capacity: Double
    /// Milliseconds of a request while nothing else goes on, and between two requests.
    var alone = 4.0
    var think = 1.0
    var isIdle = false
    private var requests = 0.0
    private var milliseconds = 0.0
    private var copied = 0.0
    private(set) var now = ContinuousClock.now

    init(capacity: Double = 64 * 1_048_576) { self.capacity = capacity }

    /// Milliseconds of a request while the copy reads and writes so many bytes/s each.
    func latency(at speed: Double) -> Double { alone / (1 - min(0.97, 2 * speed / capacity)) }

    mutating func run(_ seconds: Double, _ governor: inout LatencyGovernor) -> (speed: Double, latency: Double) {
        let speed = min(Double(governor.ceiling), capacity / 2)
        let latency = latency(at: speed)
        if !isIdle {
            let count = seconds * 1000 / (latency + think)
            requests += count
            milliseconds += count * latency
        }
        copied += speed * seconds
        now += .seconds(seconds)
        governor.take(
            LatencyGovernor.Sample(
                requests: Int64(requests), nanoseconds: Int64(milliseconds * 1e6), copied: Int64(copied), at: now))
        return (speed, latency)
    }
}

@Suite("Steering a copy by the guest's latency")
struct LatencyGovernorTests {
    private static let mib = 1_048_576.0
    private static let bytes: Int64 = 10 << 30

    @Test(
        "The mean settles within the budget, the speed near the best one, and it swings by less than a factor of two",
        arguments: [1.5, 2.0, 4.0], [16.0, 64, 2000])
    func settles(factor: Double, capacity: Double) {
        var disk = SimulatedDisk(capacity: capacity * Self.mib)
        var governor = LatencyGovernor(.factor(factor), baseline: disk.alone, bytes: Self.bytes)
        for _ in 0..<120 { _ = disk.run(0.5, &governor) }
        var samples: [(speed: Double, latency: Double)] = []
        for _ in 0..<120 { samples.append(disk.run(0.5, &governor)) }
        let mean = samples.map(\.latency).reduce(0, +) / 120
        #expect(mean <= factor * disk.alone)
        let best = disk.capacity / 2 * (1 - 1 / factor)
        let speed = samples.map(\.speed).reduce(0, +) / 120
        #expect(speed >= best * 0.5 && speed <= best * 1.05)
        let (slowest, fastest) = (samples.map(\.speed).min() ?? 0, samples.map(\.speed).max() ?? 0)
        #expect(fastest < slowest * 2, "\(slowest / Self.mib) to \(fastest / Self.mib) MiB/s")
    }

    @Test("A guest that gets busy is given way to within a second")
    func reacts() {
        var disk = SimulatedDisk()
        disk.isIdle = true
        var governor = LatencyGovernor(.milliseconds(8), baseline: nil, bytes: Self.bytes)
        for _ in 0..<40 { _ = disk.run(0.5, &governor) }
        let before = governor.ceiling
        disk.isIdle = false
        for _ in 0..<2 { _ = disk.run(0.5, &governor) }
        #expect(governor.ceiling <= before / 2)
        for _ in 0..<6 { _ = disk.run(0.5, &governor) }
        #expect(disk.run(0.5, &governor).latency <= 8)
    }

    @Test("An idle guest's disk is copied at full speed soon, and the limit does not run away from the copy")
    func idle() {
        var disk = SimulatedDisk(capacity: 2000 * Self.mib)
        disk.isIdle = true
        var governor = LatencyGovernor(.milliseconds(8), baseline: nil, bytes: Self.bytes)
        for _ in 0..<20 { _ = disk.run(0.5, &governor) }
        #expect(disk.run(0.5, &governor).speed == disk.capacity / 2)
        for _ in 0..<200 { _ = disk.run(0.5, &governor) }
        #expect(Double(governor.ceiling) <= disk.capacity * 2)
        #expect(governor.latency == nil)
    }

    @Test("A guest whose requests do not end for a moment is not taken for an idle one")
    func stuck() {
        var disk = SimulatedDisk()
        var governor = LatencyGovernor(.milliseconds(8), baseline: nil, bytes: Self.bytes)
        for _ in 0..<60 { _ = disk.run(0.5, &governor) }
        let before = governor.ceiling
        disk.isIdle = true
        for _ in 0..<4 { _ = disk.run(0.5, &governor) }
        #expect(governor.ceiling <= before)
        #expect(governor.latency != nil)
    }

    @Test("It never falls below the floor, which copies any disk within a day", arguments: [1, 10_000] as [Int64])
    func floor(gib: Int64) {
        var disk = SimulatedDisk()
        disk.alone = 500
        var governor = LatencyGovernor(.milliseconds(1), baseline: nil, bytes: gib << 30)
        for _ in 0..<100 { _ = disk.run(0.5, &governor) }
        #expect(governor.ceiling == max(1 << 20, (gib << 30) / 86400))
    }

    @Test("A guest whose requests take longer than before for a reason of its own gets a new factor, not a creeping copy")
    func learns() {
        var disk = SimulatedDisk()
        var governor = LatencyGovernor(.factor(1.5), baseline: disk.alone, bytes: Self.bytes)
        for _ in 0..<60 { _ = disk.run(0.5, &governor) }
        #expect(governor.budget == 6)
        disk.alone = 12
        for _ in 0..<120 { _ = disk.run(0.5, &governor) }
        #expect(governor.budget > 17 && governor.budget < 20)
        let (speed, latency) = disk.run(0.5, &governor)
        #expect(speed > 4 * Self.mib)
        #expect(latency <= governor.budget * 1.1)
    }

    @Test("The new factor is given up once the guest's requests are as short as requested")
    func returns() {
        var disk = SimulatedDisk()
        var governor = LatencyGovernor(.factor(2), baseline: disk.alone, bytes: Self.bytes)
        disk.alone = 40
        for _ in 0..<60 { _ = disk.run(0.5, &governor) }
        #expect(governor.budget > 40)
        disk.alone = 1
        for _ in 0..<10 { _ = disk.run(0.5, &governor) }
        #expect(governor.budget == 8)
    }

    @Test("On a disk whose least speed is felt, the budget is not learned from it")
    func largeDisk() {
        var disk = SimulatedDisk(capacity: 200 * Self.mib)
        var governor = LatencyGovernor(.factor(1.5), baseline: disk.alone, bytes: 10 << 40)
        for _ in 0..<60 { _ = disk.run(0.5, &governor) }
        #expect(governor.budget == 6)
    }

    @Test("A copy that the guest outruns gets twice as much each time, until its limit no longer holds it back")
    func hurries() {
        var disk = SimulatedDisk(capacity: 20 * Self.mib)
        var governor = LatencyGovernor(.milliseconds(1), baseline: nil, bytes: Self.bytes)
        for _ in 0..<20 { _ = disk.run(0.5, &governor) }
        #expect(governor.ceiling == 1 << 20 && governor.holdsBack)
        var before = governor.ceiling
        while governor.holdsBack {
            governor.hurry()
            #expect(governor.ceiling >= 2 * before)
            before = governor.ceiling
            for _ in 0..<8 { _ = disk.run(0.5, &governor) }
        }
        #expect(Double(governor.ceiling) >= disk.capacity / 2)
    }

    @Test("Without samples for ten seconds the copy is not held back any more")
    func blind() {
        var (governor, now) = (LatencyGovernor(.factor(2), baseline: 4, bytes: Self.bytes), ContinuousClock.now)
        var misses: [Bool] = []
        for second in [0, 9, 10] { misses.append(governor.miss(at: now + .seconds(second))) }
        #expect(misses == [false, false, true])
        #expect(!governor.holdsBack)
        now += .seconds(20)
        governor.take(.init(requests: 0, nanoseconds: 0, copied: 0, at: now))
        let isMissed = governor.miss(at: now + .seconds(1))
        #expect(!isMissed && governor.holdsBack)
    }

    @Test("Counters that start over are no request times")
    func startsOver() {
        var governor = LatencyGovernor(.milliseconds(8), baseline: nil, bytes: Self.bytes)
        let start = ContinuousClock.now
        governor.take(.init(requests: 1000, nanoseconds: 1_000_000_000, copied: 0, at: start))
        governor.take(.init(requests: 5, nanoseconds: 5_000_000, copied: 1 << 20, at: start + .seconds(1)))
        #expect(governor.latency == nil && governor.ceiling == LatencyGovernor.start)
    }
}

@Suite("guest_latency_budget")
struct LatencyBudgetTests {
    @Test("Milliseconds and factors are read, and written as they are read")
    func values() throws {
        let cases: [(String, LatencyBudget?)] = [
            ("20", .milliseconds(20)), ("0.5", .milliseconds(0.5)), ("2x", .factor(2)), ("1.5x", .factor(1.5)),
            (" 3 x", .factor(3)),
            ("0", nil), ("1x", nil), ("x", nil), ("", nil), ("-1", nil), ("nan", nil), ("infx", nil), ("2ms", nil), ("101x", nil),
            ("60001", nil),
        ]
        for (text, budget) in cases {
            #expect(LatencyBudget(text) == budget, "\(text)")
            guard let budget else { continue }
            #expect(LatencyBudget(budget.text) == budget)
            #expect(try JSONDecoder().decode([LatencyBudget].self, from: JSONEncoder().encode([budget])) == [budget])
        }
    }

    @Test("A factor goes by what was seen before the copy, or by what is usual")
    func baseline() {
        #expect(LatencyBudget.factor(2).milliseconds(baseline: 4) == 8)
        #expect(LatencyBudget.factor(2).milliseconds(baseline: nil) == 20)
        #expect(LatencyBudget.factor(2).milliseconds(baseline: 0.05) == 1)
        #expect(LatencyBudget.milliseconds(20).milliseconds(baseline: 4) == 20)
    }
}
