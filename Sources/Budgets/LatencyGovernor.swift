/// Steers a copy's speed so that the guest's requests to its disk stay within a latency budget. Pure; the caller supplies samples.
///
/// The speed rises additively while there is room, and falls multiplicatively, the more so the more the budget is exceeded. At
/// first, and while the guest is idle, it doubles. It never falls below a floor, so that the copy ends.
package struct LatencyGovernor: Sendable {
    /// The counters of a disk and its copy at one time.
    package struct Sample: Sendable, Equatable {
        /// The guest's reads, writes and flushes that have ended.
        package var requests: Int64
        /// Nanoseconds that they have taken together.
        package var nanoseconds: Int64
        /// Bytes that the copy has copied.
        package var copied: Int64
        package var at: ContinuousClock.Instant

        package init(requests: Int64, nanoseconds: Int64, copied: Int64, at: ContinuousClock.Instant) {
            self.requests = requests
            self.nanoseconds = nanoseconds
            self.copied = copied
            self.at = at
        }
    }

    /// bytes/s that a copy begins with: 8 MiB/s.
    package static let start: Int64 = 8 << 20
    /// bytes/s below which no copy is slowed down: 1 MiB/s.
    private static let least: Int64 = 1 << 20
    /// So that the copy of any disk ends, it gets at least what copies it in a day.
    private static let longestCopy: Int64 = 86400
    /// A window of measurement ends after so many requests, but no sooner than ``shortest`` and no later than ``longest``.
    private static let enough: Int64 = 10
    private static let (shortest, longest) = (Duration.milliseconds(250), Duration.seconds(1))
    /// A guest without a finished request for less than this may be stuck behind the copy; after it, it is idle.
    private static let patience = Duration.seconds(3)
    private static let enoughAtFloor = 6
    /// Without a sample for this long the guest cannot be gone by.
    private static let longestBlindness = Duration.seconds(10)
    /// The speed rises only while the latency is below this share of the budget.
    private static let room = 0.8

    /// The guest's mean request time that the copy may cause, in milliseconds.
    package private(set) var budget: Double
    /// The budget that the request asks for, in milliseconds.
    private let requested: Double
    /// The factor that the budget is of the time without a copy; nil for a fixed one.
    private let factor: Double?
    /// The shortest mean of so many windows at the floor, each of which exceeded the budget.
    private var atFloor: (count: Int, least: Double)?
    private var floor: Int64
    /// The copy's upper bound in bytes/s.
    package private(set) var ceiling: Int64
    /// The guest's mean request time over the last window with requests, in milliseconds; nil before and while the guest is idle.
    package private(set) var latency: Double?
    /// Whether the speed doubles.
    private var isStarting = true
    /// The ceiling from which it last fell, by which the steps up are measured.
    private var mark: Int64
    /// The copy's bytes/s over the last windows.
    private var rate: Double?
    private var window: Sample?
    private var busyAt: ContinuousClock.Instant?
    private var blindSince: ContinuousClock.Instant?
    /// Whether there has been no sample for so long that the copy is not held back.
    private var isBlind = false

    /// Whether the speed limit is what holds the copy back.
    package var holdsBack: Bool { !isBlind && (rate.map { $0 >= Double(ceiling) / 2 } ?? true) }

    /// - Parameters:
    ///   - baseline: the guest's mean request time before the copy in milliseconds; nil if it is not known.
    ///   - bytes: the disk's size.
    package init(_ budget: LatencyBudget, baseline: Double?, bytes: Int64) {
        requested = budget.milliseconds(baseline: baseline)
        self.budget = requested
        factor = if case .factor(let factor) = budget { factor } else { nil }
        floor = max(Self.least, bytes / Self.longestCopy)
        ceiling = max(Self.start, floor)
        mark = ceiling
    }

    /// The guest outruns the copy: from now on it gets at least twice as much, so that it ends.
    package mutating func hurry() {
        floor = floor > 1 << 49 ? floor : floor * 2
        ceiling = max(ceiling, floor)
    }

    /// There is no sample.
    ///
    /// - Returns: whether there has been none for so long that the copy must not be held back any more.
    package mutating func miss(at now: ContinuousClock.Instant) -> Bool {
        let since = blindSince ?? now
        blindSince = since
        isBlind = now - since >= Self.longestBlindness
        return isBlind
    }

    /// Adds a sample. Several may form one window of measurement.
    package mutating func take(_ sample: Sample) {
        blindSince = nil
        isBlind = false
        guard let begin = window, sample.requests >= begin.requests else { return window = sample }
        let (time, requests) = (sample.at - begin.at, sample.requests - begin.requests)
        guard time >= Self.longest || (time >= Self.shortest && requests >= Self.enough) else { return }
        window = sample
        let seconds = time / .seconds(1)
        let measured = Double(max(0, sample.copied - begin.copied)) / seconds
        rate = rate.map { ($0 + measured) / 2 } ?? measured
        guard requests > 0 else { return rest(sample.at, seconds) }
        let mean = Double(sample.nanoseconds - begin.nanoseconds) / Double(requests) / 1e6
        latency = mean
        busyAt = sample.at
        if mean <= requested { budget = requested }
        learn(mean)
        if mean > budget { fall(mean) } else if mean < budget * Self.room { rise(seconds) }
    }

    /// At 1 MiB/s the copy is hardly felt. If a factor of the time before the copy is exceeded there, that time has changed: the
    /// guest does other work, or its writes now go to both volumes. It is learned anew, so that the copy does not creep for it, until the guest's requests
    /// are as short as requested.
    private mutating func learn(_ mean: Double) {
        guard let factor, floor == Self.least, ceiling == floor, mean > budget else { return atFloor = nil }
        let (count, least) = ((atFloor?.count ?? 0) + 1, min(atFloor?.least ?? mean, mean))
        atFloor = (count, least)
        guard count >= Self.enoughAtFloor else { return }
        budget = max(budget, factor * least)
        atFloor = nil
    }

    /// The guest has finished no request.
    private mutating func rest(_ now: ContinuousClock.Instant, _ seconds: Double) {
        if let busyAt, now - busyAt < Self.patience { return }
        latency = nil
        isStarting = true
        rise(seconds)
    }

    private mutating func rise(_ seconds: Double) {
        // Only a limit that holds the copy back is worth raising; else it would be far too high when it is needed.
        guard let rate, rate >= Double(ceiling) / 2 else { return }
        let step = isStarting ? ceiling : max(Self.least / 4, Int64(Double(mark) / 8 * seconds))
        ceiling = min(ceiling.addingReportingOverflow(step).partialValue, 1 << 50)
    }

    private mutating func fall(_ mean: Double) {
        isStarting = false
        // From what the copy really does: a limit above that holds nothing back.
        let used = min(ceiling, Int64((rate ?? 0) * 1.25))
        mark = max(floor, used)
        ceiling = max(floor, Int64(Double(mark) * min(0.85, max(0.25, budget / mean))))
    }
}
