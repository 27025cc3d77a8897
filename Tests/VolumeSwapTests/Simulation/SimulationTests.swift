import Foundation
import Synchronization
import Testing

@testable import VolumeSwap

/// The whole core, run in a simulated world by seed.
///
/// `PIVOTD_SIMULATE` is the number of seeds to run, `PIVOTD_SIMULATE_SEED` the first one; with one seed its trace is printed
/// (`deploy/test --simulate N --seed S`).
@Suite("Simulation")
struct SimulationTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let count = environment["PIVOTD_SIMULATE"].flatMap { UInt64($0) }
    private static let first = environment["PIVOTD_SIMULATE_SEED"].flatMap { UInt64($0) } ?? 1

    @Test("No seed breaks a promise")
    func promises() async {
        let count = Self.count ?? 2000
        let began = ContinuousClock.now
        let state = Mutex<(digest: UInt64, broken: [UInt64: String])>((0, [:]))
        let threads = Self.count == nil ? 2 : ProcessInfo.processInfo.activeProcessorCount
        await SimReport.each(of: Self.first..<(Self.first + count), threads: threads) { report in
            state.withLock { state in
                state.digest ^= report.digest
                state.broken[report.seed] = report.violations.first
            }
            return false
        }
        let (digest, broken) = state.withLock { ($0.digest, $0.broken) }
        let failed = broken.sorted { $0.key < $1.key }
        for (seed, violation) in failed { Issue.record("seed \(seed): \(violation)") }
        for seed in count == 1 ? [Self.first] : failed.prefix(3).map(\.key) {
            print("\nSeed \(seed):\n\(SimReport(seed: seed, isTraced: true).trace.joined(separator: "\n"))\n")
        }
        if Self.count != nil {
            print(
                "\(count) seeds, \(failed.count) broke a promise, \(ContinuousClock.now - began), digest \(String(digest, radix: 16))"
            )
            Self.summarize(failed)
        }
    }

    /// The violations by kind, the most frequent first.
    private static func summarize(_ failed: [(key: UInt64, value: String)]) {
        let kinds = Dictionary(grouping: failed) { String($0.value.filter { !$0.isNumber }.prefix(70)) }
        for (kind, seeds) in kinds.sorted(by: { ($1.value.count, $0.key) < ($0.value.count, $1.key) }) {
            print("\(seeds.count)  \(kind): \(seeds.prefix(10).map { String($0.key) }.joined(separator: " "))")
        }
    }

    @Test("The same seed gives the same trace", .enabled(if: count == nil))
    func replay() {
        for seed in UInt64(1)...30 {
            let first = SimReport(seed: seed, isTraced: true)
            let second = SimReport(seed: seed, isTraced: true)
            #expect(first.trace == second.trace, "seed \(seed)")
            #expect(first.digest == SimReport(seed: seed).digest, "seed \(seed), with and without its trace")
        }
    }

    @Test(
        "Every check can fail: deliberate faults are found", .enabled(if: count == nil), .serialized,
        arguments: SimMutation.allCases)
    func mutation(_ mutation: SimMutation) async {
        let found = Mutex<[String]>([])
        await SimReport.each(of: 1..<4000, mutation: mutation) { report in
            guard let violation = report.violations.first(where: { $0.contains(mutation.finding) }) else { return false }
            found.withLock { $0.append("seed \(report.seed): \(violation)") }
            return true
        }
        #expect(found.withLock { !$0.isEmpty }, "no check says \"\(mutation.finding)\"")
    }

    @Test("The model's configurations parse to what they describe")
    func configurations() throws {
        for seed in UInt64(1)...20 {
            let world = SimWorld(seed: seed)
            SimScene(world).make(isCalm: true, sending: .second)
            for domain in world.domains {
                guard var configuration = domain.stored ?? domain.live else { continue }
                configuration.disks[0].mirror = .init(location: configuration.disks[0].location, format: "raw", ready: "yes")
                let xml = configuration.tree(domain.identity).xml
                let description = configuration.description(domain.identity, isLive: true)
                #expect(try DomainDescription(xml: xml) == description)
                let again = try #require(SimConfiguration(defining: try XMLTree(parsing: xml)))
                let plain = configuration.asInactive.description(domain.identity, isLive: true)
                #expect(again.description(domain.identity, isLive: true) == plain)
            }
        }
    }
}
