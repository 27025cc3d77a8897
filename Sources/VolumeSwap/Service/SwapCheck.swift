/// What `check_swap` has found: whether a swap would be accepted as things are now, and what it would do.
package struct SwapCheck: Sendable {
    /// Why the swap would be refused, or why that could not be determined; nil if it is acceptable.
    package internal(set) var failure: SwapFailure?
    /// The disk's target; nil if the request does not name one.
    package internal(set) var disk: String?
    /// How the copy would be done; nil if it is refused or nothing is left to copy.
    package internal(set) var strategy: SwapStrategy?
    /// The size in bytes that the guest sees; nil if it was not reached.
    package internal(set) var oldBytes: Int64?
    /// The size in bytes that the new volume offers a guest; nil if it was not reached, or only QEMU or the connector knows it.
    package internal(set) var newBytes: Int64?
    /// Whether the guest would see a larger disk afterwards.
    package internal(set) var willGrow = false
    /// Whether the guest runs on the new volume already: the swap succeeds at once.
    package internal(set) var isAlreadyMoved = false
    /// Whether a copy onto the new volume is running, which the swap would adopt.
    package internal(set) var isAdoptable = false
    /// Seconds that the copy takes at its limit; 0 if there is nothing to copy, nil without a limit.
    package internal(set) var estimate: Double?
    /// What an operator should know.
    package internal(set) var warnings: [String] = []

    /// Whether the swap would be accepted.
    package var isAcceptable: Bool { failure == nil }

    init(disk: String?, failure: SwapFailure? = nil) {
        self.disk = disk
        self.failure = failure
    }

    /// - Parameters:
    ///   - input: the machine's first input, had this been a swap.
    ///   - found: what the preflight knows besides.
    ///   - speed: bytes/s that the copy would begin with; 0 for unlimited.
    init(disk: String, _ input: SwapInput, _ found: SwapPreflight.Draft, speed: (SwapPlan) -> Int64) {
        self.init(disk: disk)
        (oldBytes, newBytes) = (found.plan?.oldBytes, found.plan?.newBytes)
        switch input {
        case .alreadyMoved(let plan):
            isAlreadyMoved = true
            accept(plan, bytesLeft: 0, speed)
        case .adopted(let plan):
            isAdoptable = true
            strategy = plan.strategy
            // QEMU may not have measured the work yet.
            accept(plan, bytesLeft: found.job.flatMap { $0.end > 0 ? $0.remaining : nil } ?? plan.oldBytes, speed)
        case .prepared(let plan):
            strategy = plan.strategy
            accept(plan, bytesLeft: plan.oldBytes, speed)
        case .failed(let failure): self.failure = failure
        default: failure = .rebaseFailed("disk \(disk): the check ended without a result", .internal)
        }
    }

    private mutating func accept(_ plan: SwapPlan, bytesLeft: Int64, _ speed: (SwapPlan) -> Int64) {
        willGrow = plan.resizeToBytes != nil
        warnings = plan.warnings
        if plan.destination.location.isOther {
            warnings.append(
                "the new volume was not examined: the connector has to attach it first; it may be missing, too small or in use")
        }
        let limit = bytesLeft == 0 ? 0 : speed(plan)
        estimate = bytesLeft == 0 ? 0 : limit > 0 ? Double(bytesLeft) / Double(limit) : nil
    }
}
