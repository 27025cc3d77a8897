package import Dispatch

extension DispatchQueue {
    /// Does work that may block, while the caller is suspended.
    package func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { done in async { done.resume(returning: work()) } }
    }
}
