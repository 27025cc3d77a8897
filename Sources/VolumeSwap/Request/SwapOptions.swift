import Basics
package import Budgets
package import JSON

/// The `options` argument of `swap_volume`, on top of the worker's defaults.
package struct SwapOptions: Sendable, Hashable, Codable {
    /// The strategy; nil for `auto`.
    package var strategy: SwapStrategy?
    /// The copy's limit in MiB/s, 0 for unlimited (`bandwidth` of `virDomainBlockRebase`, `VIR_DOMAIN_BLOCK_COPY_BANDWIDTH`).
    package var bandwidthMiBs: Int64 = 0
    /// The copy's granularity in KiB, a power of two; 0 for QEMU's default (`VIR_DOMAIN_BLOCK_COPY_GRANULARITY`).
    package var granularityKiB: Int64 = 0
    /// Data in flight in MiB; 0 for QEMU's default (`VIR_DOMAIN_BLOCK_COPY_BUF_SIZE`); see ``copyBufferMiB``.
    package var bufferMiB: Int64 = 0
    /// Write to both volumes at once, so that the copy converges however busy the guest is
    /// (`VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES`).
    package var synchronousWrites = false
    /// What to do about a copy that does not converge; nil, for tasks from before the option existed, is `off`. `always` goes with
    /// ``synchronousWrites``.
    package var convergence: Convergence?
    /// How long the guest's requests may take while its disk is copied; nil for no budget.
    package var guestLatencyBudget: LatencyBudget?
    /// Time limit for the whole swap in seconds; 0 for none.
    package var timeoutS: Double = 0
    /// Time limit in seconds for the remaining bytes to shrink; 0 for none.
    package var stallTimeoutS: Double = 0
    /// Do not allocate zeroes on the new volume.
    package var detectZeroes = false
    /// Stay in step until `pivot_swap`. Time-outs do not count meanwhile.
    package var hold = false

    /// No strategy, limit or time-out.
    package init() {}

    /// Reads `options` on top of `defaults`.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` naming the option.
    package init(json: JSONValue?, defaults: SwapOptions) throws(SwapFailure) {
        self = defaults
        guard let json, !json.isNull else { return }
        guard let object = json.objectValue else { throw .invalidInput("options: must be an object") }
        for (key, value) in object {
            let option = Argument(value: value, key, in: "options.")
            switch key {
            case "strategy": strategy = try Self.strategy(option)
            case "bandwidth_mib_s": bandwidthMiBs = try option.integer(0...(1 << 32))
            case "granularity_kib": granularityKiB = try Self.granularity(option)
            case "buffer_mib": bufferMiB = try option.integer(0...4095)
            case "synchronous_writes": synchronousWrites = try option.bool()
            case "convergence": convergence = try Self.convergence(option)
            case "guest_latency_budget": guestLatencyBudget = try Self.latencyBudget(option)
            case "timeout_s": timeoutS = try option.seconds()
            case "stall_timeout_s": stallTimeoutS = try option.seconds()
            case "detect_zeroes": detectZeroes = try option.bool()
            case "hold": hold = try option.bool()
            default:
                throw .invalidInput(
                    "options: unknown option '\(key.cut(to: 80))'; known are strategy, bandwidth_mib_s, granularity_kib, buffer_mib, "
                        + "synchronous_writes, convergence, guest_latency_budget, timeout_s, stall_timeout_s, detect_zeroes, hold"
                )
            }
        }
        try combine(isSynchronousGiven: object["synchronous_writes"] != nil, isConvergenceGiven: object["convergence"] != nil)
    }

    /// Makes `synchronous_writes` and `convergence` agree: true is another word for `always`. What the request names wins over the
    /// other one's default.
    private mutating func combine(isSynchronousGiven: Bool, isConvergenceGiven: Bool) throws(SwapFailure) {
        if isSynchronousGiven, isConvergenceGiven, let convergence, convergence != .auto,
            synchronousWrites != (convergence == .always)
        {
            throw .invalidInput(
                "options: synchronous_writes \(synchronousWrites) contradicts convergence \(convergence.rawValue); leave one out")
        }
        if isConvergenceGiven, !isSynchronousGiven { synchronousWrites = false }
        if isSynchronousGiven, !synchronousWrites, convergence == .always { convergence = .auto }
        if convergence == .always { synchronousWrites = true }
    }

    /// Data in flight of a `virDomainBlockCopy` in MiB; 0 for QEMU's default of 16.
    ///
    /// QEMU copies a bufferful before it can be told to leave out zeroes, and what it has allocated by then stays allocated. With a
    /// limit it copies in bursts of a bufferful, which the guest must not notice.
    var copyBufferMiB: Int64 {
        if bufferMiB != 0 { return bufferMiB }
        return guestLatencyBudget != nil ? 1 : detectZeroes ? 8 : 0
    }

    /// Whether an option is requested that only `virDomainBlockCopy` supports, or that must not leave the domain undefined for days.
    package var needsBlockCopy: Bool {
        granularityKiB != 0 || bufferMiB != 0 || synchronousWrites || detectZeroes || hold || guestLatencyBudget != nil
    }

    private static func strategy(_ option: Argument) throws(SwapFailure) -> SwapStrategy? {
        guard let text = option.value.stringValue, text == "auto" || SwapStrategy(rawValue: text) != nil else {
            throw option.invalid("must be auto, rebase or copy")
        }
        return SwapStrategy(rawValue: text)
    }

    private static func latencyBudget(_ option: Argument) throws(SwapFailure) -> LatencyBudget? {
        let refusal = option.invalid("must be \(LatencyBudget.allowed)")
        switch option.value {
        case .null: return nil
        case .string(let text):
            if let number = Double(text), number == 0 { return nil }
            guard let budget = LatencyBudget(text) else { throw refusal }
            return budget
        default:
            guard let number = option.value.doubleValue else { throw refusal }
            if number == 0 { return nil }
            guard let budget = LatencyBudget(milliseconds: number) else { throw refusal }
            return budget
        }
    }

    private static func convergence(_ option: Argument) throws(SwapFailure) -> Convergence {
        guard let convergence = option.value.stringValue.flatMap(Convergence.init(rawValue:)) else {
            throw option.invalid("must be off, auto or always")
        }
        return convergence
    }

    private static func granularity(_ option: Argument) throws(SwapFailure) -> Int64 {
        let number = try option.integer(0...65536)
        guard number == 0 || number.isPowerOfTwo else { throw option.invalid("\(number) is not a power of two") }
        return number
    }
}
