/// Does the work for each item, for a few at a time.
///
/// - Parameter limit: how many at a time.
/// - Returns: the results, in the items' order.
/// - Throws: the first error of the work, once all that has begun was cancelled and has ended.
package func concurrentMap<Item: Sendable, Value: Sendable>(
    _ items: [Item], limit: Int, _ work: @escaping @Sendable (Item) async throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: (Int, Value).self) { group in
        var values = [Value?](repeating: nil, count: items.count)
        var waiting = items.enumerated().makeIterator()
        func begin() {
            guard let (index, item) = waiting.next() else { return }
            group.addTask { (index, try await work(item)) }
        }
        for _ in 0..<max(1, limit) { begin() }
        while let (index, value) = try await group.next() {
            values[index] = value
            begin()
        }
        return values.compactMap(\.self)
    }
}
