import Metrics
import Synchronization

/// Counts one kind of event for swift-metrics, and can be read.
package final class EventCounter: Sendable {
    private let counter: Counter
    private let total = Atomic(0)

    init(_ label: String, kind: String) {
        counter = Counter(label: label, dimensions: [("kind", kind)])
    }

    /// Events since the counter was created.
    package var count: Int { total.load(ordering: .relaxed) }

    /// - Returns: The new count.
    @discardableResult
    func increment() -> Int {
        counter.increment()
        return total.add(1, ordering: .relaxed).newValue
    }
}
