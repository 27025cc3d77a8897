/// Divides bandwidth among copies, max-min fair: each gets as much as any other that is not held back by a limit of its own, and what
/// one cannot use goes to the others. Pure.
package enum BandwidthDivision {
    /// A copy that shares.
    package struct Copy: Sendable, Equatable {
        /// Its own limit in bytes/s; nil for none.
        package var limit: Int64?
        /// The budgets that it takes part in.
        package var budgets: [Int]

        package init(limit: Int64?, budgets: [Int]) {
            self.limit = limit
            self.budgets = budgets
        }
    }

    /// A copy never gets less, so that it ends: 64 KiB/s.
    package static let least: Int64 = 64 << 10

    /// The share of each copy in bytes/s; nil if nothing limits it.
    ///
    /// - Parameter budgets: bytes/s of each budget that has a limit.
    package static func shares<ID: Hashable>(of copies: [ID: Copy], budgets: [Int: Int64]) -> [ID: Int64?] {
        var shares: [ID: Int64?] = [:]
        var open = copies.mapValues { copy in Copy(limit: copy.limit, budgets: copy.budgets.filter { budgets[$0] != nil }) }
        for (id, copy) in open where copy.limit == nil && copy.budgets.isEmpty {
            shares[id] = .some(nil)
            open[id] = nil
        }
        var left = budgets
        // All open copies rise together until one of them meets its limit, or a budget is used up.
        while !open.isEmpty {
            var sharers: [Int: Int64] = [:]
            for copy in open.values {
                for budget in Set(copy.budgets) { sharers[budget, default: 0] += 1 }
            }
            let levels = sharers.map { budget, count in (budget, max(0, left[budget] ?? 0) / count) }
            guard let level = (levels.map(\.1) + open.values.compactMap(\.limit)).min() else { break }
            let full = Set(levels.filter { $0.1 <= level }.map(\.0))
            for (id, copy) in open where copy.limit.map({ $0 <= level }) ?? false || !full.isDisjoint(with: copy.budgets) {
                shares[id] = max(level, least)
                for budget in Set(copy.budgets) { left[budget]? -= level }
                open[id] = nil
            }
        }
        return shares
    }
}
