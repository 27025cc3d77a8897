/// A piece of pivotd's work whose allocations are counted.
struct Operation {
    let name: String
    /// Does it so many times, one after the other.
    let run: (_ times: Int) async throws -> Void

    static let times = 1000
    private static let rounds = 5

    /// Allocations and bytes that it takes once.
    struct Cost: Sendable {
        var allocations: Double
        var bytes: Double
    }

    /// The least of several rounds, since other threads allocate now and then.
    func cost(_ counter: AllocationCounter) async throws -> Cost {
        try await run(Self.times)
        var least = Cost(allocations: .infinity, bytes: .infinity)
        for _ in 0..<Self.rounds {
            let before = counter.reading
            try await run(Self.times)
            let after = counter.reading
            least.allocations = min(least.allocations, Double(after.allocations - before.allocations) / Double(Self.times))
            least.bytes = min(least.bytes, Double(after.bytes - before.bytes) / Double(Self.times))
        }
        return least
    }
}
