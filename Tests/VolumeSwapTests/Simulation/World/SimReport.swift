import Foundation
import Synchronization

/// What came of a seed.
struct SimReport: Sendable {
    let seed: UInt64
    let violations: [String]
    let trace: [String]
    let digest: UInt64
    let steps: Int

    /// Runs a seed on this thread.
    init(seed: UInt64, isTraced: Bool = false, mutation: SimMutation? = nil) {
        let world = SimWorld(seed: seed, isTraced: isTraced, mutation: mutation)
        world.run()
        self.seed = seed
        violations = world.violations
        trace = world.trace ?? []
        digest = world.loop.digest
        steps = world.loop.steps
        world.close()
    }

    /// Runs many seeds on threads of their own.
    ///
    /// - Parameter isEnough: told of each report; the rest is not run once it says so.
    static func each(
        of seeds: Range<UInt64>, threads: Int = 2, mutation: SimMutation? = nil, isEnough: @escaping @Sendable (SimReport) -> Bool
    ) async {
        let queue = SeedQueue(seeds)
        await withTaskGroup { group in
            for _ in 0..<threads {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        let thread = Thread {
                            while let seed = queue.next() {
                                if isEnough(SimReport(seed: seed, mutation: mutation)) { queue.end() }
                            }
                            continuation.resume()
                        }
                        thread.stackSize = 8 << 20
                        thread.start()
                    }
                }
            }
        }
    }
}

private final class SeedQueue: Sendable {
    private let seeds: Mutex<Range<UInt64>>

    init(_ seeds: Range<UInt64>) { self.seeds = Mutex(seeds) }

    func next() -> UInt64? { seeds.withLock { $0.popFirst() } }
    func end() { seeds.withLock { $0 = 0..<0 } }
}
