package import CoreMetrics
import Synchronization

/// A swift-metrics backend that renders its content in the Prometheus text format 0.0.4.
///
/// Names are kept (`pivotd_swaps_total`), except that characters outside Prometheus' alphabet are replaced. The same name and
/// dimensions give the same series. Beyond `seriesLimit` label sets, everything is counted in one more series whose label values
/// are all `other`.
package final class PrometheusRegistry: MetricsFactory {
    /// The content type of ``text()``.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Bounds of timers, in seconds: 0.5 ms to 10 000 s in steps of about 2.
    package static let timerBounds: [Double] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000,
        10_000,
    ]

    /// Bounds of aggregating recorders, in the recorded unit: powers of four from 1 to 2^40.
    package static let recorderBounds: [Double] = (0...20).map { Double(UInt64(1) << (2 * UInt64($0))) }

    enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    struct Label: Hashable {
        let name: String
        let value: String
    }

    struct Family {
        let kind: Kind
        var series: [[Label]: any PrometheusSeries] = [:]
    }

    private let help: [String: String]
    private let bounds: [String: [Double]]
    private let seriesLimit: Int
    private let families = Mutex<[String: Family]>([:])

    /// - Parameters:
    ///   - help: HELP lines by metric name.
    ///   - bounds: Histogram bounds by metric name, ascending, for metrics that the defaults do not suit.
    ///   - seriesLimit: Maximum label sets per metric.
    package init(help: [String: String] = [:], bounds: [String: [Double]] = [:], seriesLimit: Int = 200) {
        self.help = help
        self.bounds = bounds
        self.seriesLimit = max(1, seriesLimit)
    }

    // MARK: MetricsFactory

    /// A counter rendered as Prometheus' `counter`.
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, dimensions, .counter, make: PrometheusCounter.init)
    }

    package func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        series(label, dimensions, .counter, make: PrometheusFloatingPointCounter.init)
    }

    /// A meter rendered as Prometheus' `gauge`.
    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, dimensions, .gauge, make: PrometheusGauge.init)
    }

    /// A recorder rendered as a `histogram` if it aggregates, else as a `gauge`.
    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        guard aggregate else { return series(label, dimensions, .gauge, make: PrometheusGauge.init) }
        return histogram(label, dimensions, Self.recorderBounds)
    }

    /// A timer rendered as a `histogram` in seconds.
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions, Self.timerBounds)
    }

    /// Removes the series from the page.
    package func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
    package func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    package func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    package func destroyTimer(_ handler: any TimerHandler) { remove(handler) }

    /// All series in text format, ordered by name and labels.
    package func text() -> String {
        let families = families.withLock { $0 }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) where !family.series.isEmpty {
            if let help = help[name] { text += "# HELP \(name) \(MetricName.escapedHelp(help))\n" }
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            let rendered = family.series.map { (labels: Self.rendered($0.key), series: $0.value) }
            for (labels, series) in rendered.sorted(by: { $0.labels < $1.labels }) {
                series.render(name: name, labels: labels, into: &text)
            }
        }
        return text
    }

    private func histogram(_ name: String, _ dimensions: [(String, String)], _ usual: [Double]) -> PrometheusHistogram {
        let bounds = bounds[name] ?? usual
        return series(name, dimensions, .histogram) { PrometheusHistogram(bounds: bounds) }
    }

    /// The series of a name and labels, created if missing.
    ///
    /// A name in use for another kind gets a series that is never shown: a second TYPE for one name would make the whole page
    /// unreadable to Prometheus.
    private func series<Series: PrometheusSeries>(
        _ name: String, _ dimensions: [(String, String)], _ kind: Kind, make: () -> Series
    ) -> Series {
        let name = MetricName.metric(name)
        var labels = Self.labels(dimensions)
        return families.withLock { families in
            var family = families[name] ?? Family(kind: kind)
            guard family.kind == kind else { return make() }
            if family.series[labels] == nil, family.series.count >= seriesLimit, !labels.isEmpty {
                labels = labels.map { Label(name: $0.name, value: "other") }
            }
            if let existing = family.series[labels] { return existing as? Series ?? make() }
            let made = make()
            family.series[labels] = made
            families[name] = family
            return made
        }
    }

    private func remove(_ handler: AnyObject) {
        families.withLock { families in
            for (name, family) in families {
                guard let labels = family.series.first(where: { $0.value === handler })?.key else { continue }
                families[name]?.series[labels] = nil
                return
            }
        }
    }

    /// Labels ordered by name; the last one wins if a name occurs twice.
    private static func labels(_ dimensions: [(String, String)]) -> [Label] {
        let values = Dictionary(dimensions.map { (MetricName.label($0.0), $0.1) }) { _, last in last }
        return values.sorted { $0.key < $1.key }.map { Label(name: $0.key, value: $0.value) }
    }

    private static func rendered(_ labels: [Label]) -> String {
        labels.map { "\($0.name)=\"\(MetricName.escapedLabelValue($0.value))\"" }.joined(separator: ",")
    }
}
