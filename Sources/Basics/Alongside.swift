/// Does the work while others run, and cancels them when it is done. The first error, of the work or of another, ends it all.
package func alongside<Value: Sendable>(
    _ others: [@Sendable () async throws -> Void], _ work: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        defer { group.cancelAll() }
        for other in others {
            group.addTask {
                try await other()
                return nil
            }
        }
        group.addTask { try await work() }
        while let ended = try await group.next() {
            if let value = ended { return value }
        }
        throw CancellationError()
    }
}
