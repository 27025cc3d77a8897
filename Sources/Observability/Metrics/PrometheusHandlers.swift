import CoreMetrics
import Synchronization

/// One time series: what swift-metrics writes to and what a scrape reads.
protocol PrometheusSeries: AnyObject, Sendable {
    /// Appends the sample lines of the series.
    ///
    /// - Parameters:
    ///   - name: The family's name.
    ///   - labels: The labels, rendered and joined by commas, without braces; empty when there are none.
    func render(name: String, labels: String, into text: inout String)
}

extension PrometheusSeries {
    func sample(_ name: String, _ labels: String, _ value: String, into text: inout String) {
        text += name
        if !labels.isEmpty { text += "{\(labels)}" }
        text += " \(value)\n"
    }
}

/// A counter of integers. Negative increments are ignored: a counter only falls when it is reset.
final class PrometheusCounter: CounterHandler, PrometheusSeries {
    private let count = Atomic<Int64>(0)

    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        count.wrappingAdd(amount, ordering: .relaxed)
    }

    func reset() {
        count.store(0, ordering: .relaxed)
    }

    func render(name: String, labels: String, into text: inout String) {
        sample(name, labels, String(count.load(ordering: .relaxed)), into: &text)
    }
}

/// A counter of fractions.
final class PrometheusFloatingPointCounter: FloatingPointCounterHandler, PrometheusSeries {
    private let total = AtomicDouble()

    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        total.add(amount)
    }

    func reset() {
        total.set(0)
    }

    func render(name: String, labels: String, into text: inout String) {
        sample(name, labels, MetricName.value(total.value), into: &text)
    }
}

/// A value that goes up and down: swift-metrics' meter, and a recorder that does not aggregate.
final class PrometheusGauge: MeterHandler, RecorderHandler, PrometheusSeries {
    private let current = AtomicDouble()

    func set(_ value: Int64) { current.set(Double(value)) }
    func set(_ value: Double) { current.set(value) }
    func increment(by amount: Double) { current.add(amount) }
    func decrement(by amount: Double) { current.add(-amount) }
    func record(_ value: Int64) { current.set(Double(value)) }
    func record(_ value: Double) { current.set(value) }

    func render(name: String, labels: String, into text: inout String) {
        sample(name, labels, MetricName.value(current.value), into: &text)
    }
}

/// A cumulative histogram: swift-metrics' timer, in seconds, and its aggregating recorder, in the recorded unit.
final class PrometheusHistogram: TimerHandler, RecorderHandler, PrometheusSeries {
    private struct State {
        /// Observations per bucket, not cumulative; the last one is for values above every bound.
        var counts: [UInt64]
        var sum: Double
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        self.state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1), sum: 0))
    }

    func recordNanoseconds(_ duration: Int64) { observe(Double(duration) / 1e9) }
    func record(_ value: Int64) { observe(Double(value)) }
    func record(_ value: Double) { observe(value) }

    private func observe(_ value: Double) {
        guard !value.isNaN else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    func render(name: String, labels: String, into text: inout String) {
        let state = state.withLock { $0 }
        let separator = labels.isEmpty ? "" : ","
        var cumulative: UInt64 = 0
        for (bound, count) in zip(bounds + [.infinity], state.counts) {
            cumulative += count
            let le = "\(labels)\(separator)le=\"\(MetricName.value(bound))\""
            sample("\(name)_bucket", le, String(cumulative), into: &text)
        }
        sample("\(name)_sum", labels, MetricName.value(state.sum), into: &text)
        sample("\(name)_count", labels, String(cumulative), into: &text)
    }
}

/// A Double that several threads add to without a lock.
struct AtomicDouble: ~Copyable {
    private let bits = Atomic<UInt64>(0)

    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    func set(_ value: Double) {
        bits.store(value.bitPattern, ordering: .relaxed)
    }

    func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }
}
