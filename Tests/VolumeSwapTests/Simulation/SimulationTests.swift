import Foundation
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Simulation")
struct SimulationTests {
    @Test("No seed breaks a promise")
    func seeds() async {
        let environment = ProcessInfo.processInfo.environment
        let first = UInt64(environment["PIVOTD_SIMULATE_SEED"] ?? "") ?? 1
        let count = UInt64(environment["PIVOTD_SIMULATE"] ?? "") ?? 2000
        let mutation = SimMutation.allCases.first { "\($0)" == environment["PIVOTD_SIMULATE_MUTATION"] }
        let began = Date()
        let state = Mutex<(digest: UInt64, failed: [(UInt64, String)])>((0, []))
        await SimReport.each(of: first..<(first + count), mutation: mutation) { report in
            if report.steps > 100_000 { print("long", report.seed, report.steps) }
            state.withLock { state in
                state.digest ^= report.digest
                if let violation = report.violations.first { state.failed.append((report.seed, violation)) }
            }
            return false
        }
        let (digest, failed) = state.withLock { ($0.digest, $0.failed) }
        if environment["PIVOTD_SIMULATE_TRACE"] != nil {
            for seed in first..<(first + count) { print(SimReport(seed: seed, isTraced: true, mutation: mutation).trace.joined(separator: "\n")) }
        }
        if count == 1 { print(SimReport(seed: first, isTraced: true, mutation: mutation).trace.joined(separator: "\n")) }
        var kinds: [String: [UInt64]] = [:]
        for (seed, violation) in failed {
            kinds[violation.filter { !$0.isNumber }.prefix(60).description, default: []].append(seed)
        }
        for (kind, seeds) in kinds.sorted(by: { $0.value.count > $1.value.count }) { print(seeds.count, kind, seeds.sorted().prefix(12)) }
        print("seeds", count, "failed", failed.count, "seconds", Date().timeIntervalSince(began), "digest", digest)
    }
}
