import Foundation
import Synchronization

/// The result of a seed.
struct SimReport: Sendable {
    let seed: UInt64
    /// The broken promises; the first one ends the run.
    let violations: [String]
    /// The events in words, if requested: virtual time, who, what.
    let trace: [String]
    /// Equal for equal runs.
    let digest: UInt64

    /// Runs a seed on this thread.
    init(seed: UInt64, isTraced: Bool = false, mutation: SimMutation? = nil) {
        let world = SimWorld(seed: seed, isTraced: isTraced, mutation: mutation)
        world.run()
        self.seed = seed
        violations = world.violations
        trace = world.trace ?? []
        digest = world.loop.digest
        world.close()
    }

    /// Runs many seeds, each world on one of a few threads.
    ///
    /// - Parameter isEnough: gets each report; returns true to skip the rest.
    static func each(
        of seeds: Range<UInt64>, threads: Int = 2, mutation: SimMutation? = nil, isEnough: @escaping @Sendable (SimReport) -> Bool
    ) async {
        let queue = SeedQueue(seeds)
        await withTaskGroup { group in
            for _ in 0..<threads {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        // Not from the pool: a run occupies its thread as long as it lasts.
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
