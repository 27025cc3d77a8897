/// How long a guest's requests to its disk may take on average while the disk is copied: `guest_latency_budget`.
package enum LatencyBudget: Sendable, Hashable {
    case milliseconds(Double)
    /// As many times the mean before the copy.
    case factor(Double)

    /// Allowed milliseconds, without 0, which means none.
    package static let milliseconds = 0.1...60_000.0
    /// Allowed factors. With a factor of 1 any disturbance would be too much.
    package static let factors = 1.05...100.0
    /// What a value that is not allowed has to be, for error messages.
    package static let allowed = "milliseconds from 0.1 to 60000, a factor from 1.05x to 100x such as 2x, or 0 for none"
    /// The mean in milliseconds that counts as seen before the copy if the guest had no requests then: a spinning disk's.
    package static let usualMilliseconds = 10.0
    /// Milliseconds below which no budget goes: the copy's own use of the host shows in shorter times.
    package static let leastMilliseconds = 1.0

    /// Reads milliseconds such as `20`, or a factor such as `2x`; nil for anything else, 0 included.
    package init?(_ text: String) {
        let text = text.filter { $0 != " " }
        if text.hasSuffix("x") {
            guard let factor = Double(text.dropLast()), Self.factors.contains(factor) else { return nil }
            self = .factor(factor)
        } else {
            guard let number = Double(text) else { return nil }
            self.init(milliseconds: number)
        }
    }

    /// nil for a number that is not allowed, 0 included.
    package init?(milliseconds number: Double) {
        guard Self.milliseconds.contains(number) else { return nil }
        self = .milliseconds(number)
    }

    /// As ``init(_:)`` reads it.
    package var text: String {
        switch self {
        case .milliseconds(let number): Self.text(number)
        case .factor(let factor): Self.text(factor) + "x"
        }
    }

    private static func text(_ number: Double) -> String { Int(exactly: number).map(String.init) ?? "\(number)" }

    /// The budget in milliseconds.
    ///
    /// - Parameter baseline: the mean before the copy in milliseconds; nil if it is not known.
    package func milliseconds(baseline: Double?) -> Double {
        switch self {
        case .milliseconds(let number): max(Self.leastMilliseconds, number)
        case .factor(let factor): max(Self.leastMilliseconds, factor * (baseline ?? Self.usualMilliseconds))
        }
    }
}

/// As the string that ``LatencyBudget/init(_:)`` reads.
extension LatencyBudget: Codable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let budget = LatencyBudget(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a latency budget")
        }
        self = budget
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
