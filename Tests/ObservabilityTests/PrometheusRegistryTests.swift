import CoreMetrics
import Testing

@testable import Observability

@Suite struct PrometheusRegistryTests {
    @Test func textIsThatOfPrometheus() {
        let registry = PrometheusRegistry(
            help: ["pivotd_swaps_total": "Swaps\nby \\ outcome"], bounds: ["pivotd_copy_seconds": [0.1, 1]])
        registry.makeCounter(label: "pivotd_swaps_total", dimensions: [("outcome", "completed")]).increment(by: 3)
        registry.makeCounter(label: "pivotd_swaps_total", dimensions: [("outcome", "a\"b\\c\nd")]).increment(by: 1)
        registry.makeMeter(label: "pivotd_running", dimensions: []).set(Int64(2))
        registry.makeMeter(label: "pivotd_running", dimensions: []).decrement(by: 0.5)
        let timer = registry.makeTimer(label: "pivotd_copy_seconds", dimensions: [("strategy", "copy")])
        for nanoseconds: Int64 in [50_000_000, 100_000_000, 500_000_000, 2_000_000_000] { timer.recordNanoseconds(nanoseconds) }
        #expect(
            registry.text() == """
                # TYPE pivotd_copy_seconds histogram
                pivotd_copy_seconds_bucket{strategy="copy",le="0.1"} 2
                pivotd_copy_seconds_bucket{strategy="copy",le="1"} 3
                pivotd_copy_seconds_bucket{strategy="copy",le="+Inf"} 4
                pivotd_copy_seconds_sum{strategy="copy"} 2.65
                pivotd_copy_seconds_count{strategy="copy"} 4
                # TYPE pivotd_running gauge
                pivotd_running 1.5
                # HELP pivotd_swaps_total Swaps\\nby \\\\ outcome
                # TYPE pivotd_swaps_total counter
                pivotd_swaps_total{outcome="a\\"b\\\\c\\nd"} 1
                pivotd_swaps_total{outcome="completed"} 3

                """)
    }

    @Test func timersReachFromHalfAMillisecondToHours() {
        let bounds = PrometheusRegistry.timerBounds
        #expect(bounds.first == 0.0005)
        #expect(bounds.last == 10_000)
        #expect(bounds == bounds.sorted())
        #expect(PrometheusRegistry.recorderBounds == PrometheusRegistry.recorderBounds.sorted())
        let registry = PrometheusRegistry()
        registry.makeTimer(label: "t", dimensions: []).recordNanoseconds(400_000)
        #expect(registry.text().contains("t_bucket{le=\"0.0005\"} 1\n"))
        #expect(registry.text().contains("t_bucket{le=\"10000\"} 1\n"))
    }

    @Test func namesAndLabelsFitTheAlphabet() {
        #expect(MetricName.metric("a.b-c/é:1") == "a_b_c___:1")
        #expect(MetricName.metric("1st") == "_1st")
        #expect(MetricName.metric("") == "_")
        #expect(MetricName.label("__name__") == "_name__")
        #expect(MetricName.label("le") == "exported_le")
        #expect(MetricName.label("a:b") == "a_b")
        #expect(MetricName.value(.infinity) == "+Inf")
        #expect(MetricName.value(-.infinity) == "-Inf")
        #expect(MetricName.value(.nan) == "NaN")
        #expect(MetricName.value(1e9) == "1000000000")
    }

    @Test func theSameNameAndLabelsAreOneSeries() {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "c", dimensions: [("a", "1"), ("b", "2")]).increment(by: 1)
        registry.makeCounter(label: "c", dimensions: [("b", "2"), ("a", "1")]).increment(by: 1)
        #expect(registry.text() == "# TYPE c counter\nc{a=\"1\",b=\"2\"} 2\n")
    }

    @Test func aNameHasOneType() {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "c", dimensions: []).increment(by: 1)
        registry.makeMeter(label: "c", dimensions: []).set(9.0)
        registry.makeFloatingPointCounter(label: "c", dimensions: []).increment(by: 9)
        #expect(registry.text() == "# TYPE c counter\nc 1\n")
    }

    @Test func labelsAreBounded() {
        let registry = PrometheusRegistry(seriesLimit: 2)
        for number in 1...5 {
            registry.makeCounter(label: "c", dimensions: [("n", "\(number)")]).increment(by: 1)
        }
        #expect(registry.text() == "# TYPE c counter\nc{n=\"1\"} 1\nc{n=\"2\"} 1\nc{n=\"other\"} 3\n")
    }

    @Test func countersOnlyRise() {
        let registry = PrometheusRegistry()
        let counter = registry.makeFloatingPointCounter(label: "c", dimensions: [])
        counter.increment(by: 0.5)
        counter.increment(by: -3)
        counter.increment(by: .nan)
        #expect(registry.text() == "# TYPE c counter\nc 0.5\n")
    }

    @Test func destroyedSeriesAreGone() {
        let registry = PrometheusRegistry()
        let counter = registry.makeCounter(label: "c", dimensions: [])
        registry.destroyCounter(counter)
        #expect(registry.text() == "")
    }

    @Test func recordersAggregateOrNot() {
        let registry = PrometheusRegistry()
        registry.makeRecorder(label: "g", dimensions: [], aggregate: false).record(4.5)
        registry.makeRecorder(label: "h", dimensions: [], aggregate: true).record(Int64(3))
        let text = registry.text()
        #expect(text.contains("# TYPE g gauge\ng 4.5\n"))
        #expect(text.contains("h_bucket{le=\"1\"} 0\nh_bucket{le=\"4\"} 1\n"))
    }

    @Test func concurrentWritesAreAllCounted() async {
        let registry = PrometheusRegistry()
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        registry.makeCounter(label: "c", dimensions: []).increment(by: 1)
                        registry.makeMeter(label: "m", dimensions: []).increment(by: 0.5)
                        registry.makeTimer(label: "t", dimensions: []).recordNanoseconds(1_000_000_000)
                    }
                }
            }
        }
        let text = registry.text()
        #expect(text.contains("\nc 8000\n") || text.hasPrefix("# TYPE c counter\nc 8000\n"))
        #expect(text.contains("\nm 4000\n"))
        #expect(text.contains("\nt_count 8000\n"))
        #expect(text.contains("\nt_sum 8000\n"))
    }
}
