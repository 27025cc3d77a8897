package import JSON

/// The `options` argument of `swap_volume`, laid over the worker's defaults.
package struct SwapOptions: Sendable, Hashable, Codable {
    /// nil is `auto`.
    package var strategy: SwapStrategy?
    /// MiB/s, 0 is unlimited (`bandwidth` of `virDomainBlockRebase`, `VIR_DOMAIN_BLOCK_COPY_BANDWIDTH`).
    package var bandwidthMiBs: Int64 = 0
    /// KiB, a power of two, 0 is QEMU's default (`VIR_DOMAIN_BLOCK_COPY_GRANULARITY`).
    package var granularityKiB: Int64 = 0
    /// MiB in flight, 0 is QEMU's default (`VIR_DOMAIN_BLOCK_COPY_BUF_SIZE`), less with ``detectZeroes``; see ``copyBufferMiB``.
    package var bufferMiB: Int64 = 0
    /// `VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES`: the copy converges however busy the guest is.
    package var synchronousWrites = false
    /// Seconds for the whole swap, 0 is no limit.
    package var timeoutS: Double = 0
    /// Seconds in which the remaining bytes do not shrink, 0 is no limit.
    package var stallTimeoutS: Double = 0
    /// Zeroes read from the old volume are not allocated on the new one.
    package var detectZeroes = false

    package init() {}

    /// Reads `options` over `defaults`.
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
            case "timeout_s": timeoutS = try option.seconds()
            case "stall_timeout_s": stallTimeoutS = try option.seconds()
            case "detect_zeroes": detectZeroes = try option.bool()
            default:
                throw .invalidInput(
                    "options: unknown option '\(key.prefix(80))'; known are strategy, bandwidth_mib_s, granularity_kib, buffer_mib, "
                        + "synchronous_writes, timeout_s, stall_timeout_s, detect_zeroes")
            }
        }
    }

    /// MiB in flight of a `virDomainBlockCopy`, 0 is QEMU's default of 16.
    ///
    /// QEMU copies a bufferful before it can be told to leave zeroes out, and what it has allocated by then stays so.
    var copyBufferMiB: Int64 { bufferMiB == 0 && detectZeroes ? 8 : bufferMiB }

    /// True when an option is asked for that only `virDomainBlockCopy` can express.
    package var needsBlockCopy: Bool { granularityKiB != 0 || bufferMiB != 0 || synchronousWrites || detectZeroes }

    private static func strategy(_ option: Argument) throws(SwapFailure) -> SwapStrategy? {
        guard let text = option.value.stringValue, text == "auto" || SwapStrategy(rawValue: text) != nil else {
            throw option.invalid("must be auto, rebase or copy")
        }
        return SwapStrategy(rawValue: text)
    }

    private static func granularity(_ option: Argument) throws(SwapFailure) -> Int64 {
        let number = try option.integer(0...65536)
        guard number & (number - 1) == 0 || number == 0 else { throw option.invalid("\(number) is not a power of two") }
        return number
    }
}
