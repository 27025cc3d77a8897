import Foundation
import Testing

@testable import VolumeSwap

@Suite("Simulation")
struct SimulationTests {
    static func world(_ seed: UInt64, isTraced: Bool = false) -> SimWorld {
        let world = SimWorld(seed: seed, isTraced: isTraced)
        world.run()
        world.close()
        return world
    }

    @Test("run")
    func run() {
        let environment = ProcessInfo.processInfo.environment
        let first = UInt64(environment["PIVOTD_SIMULATE_SEED"] ?? "") ?? 1
        let count = UInt64(environment["PIVOTD_SIMULATE"] ?? "") ?? 2000
        let isTraced = environment["PIVOTD_SIMULATE_TRACE"] != nil
        let began = Date()
        var digest: UInt64 = 0
        var kinds: [String: [UInt64]] = [:]
        for seed in first..<(first + count) {
            let world = Self.world(seed, isTraced: isTraced)
            digest = (digest ^ world.loop.digest) &* 0x100_0000_01b3
            if let trace = world.trace { print(trace.joined(separator: "\n")) }
            if let violation = world.violations.first { kinds[violation.filter { !$0.isNumber }.prefix(60).description, default: []].append(seed) }
        }
        for (kind, seeds) in kinds.sorted(by: { $0.value.count > $1.value.count }) { print(seeds.count, kind, seeds.prefix(8)) }
        print("seeds", count, "seconds", Date().timeIntervalSince(began), "digest", digest)
    }
}
