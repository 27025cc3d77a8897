/// Does several things at once, and cancels the others when the first has ended.
///
/// - Returns: what the first returned; nil if there is nothing to do.
@discardableResult
package func first<Value: Sendable>(of works: [@Sendable () async -> Value]) async -> Value? {
    await withTaskGroup(of: Value.self) { group in
        defer { group.cancelAll() }
        for work in works { group.addImmediateTask { await work() } }
        return await group.next()
    }
}
