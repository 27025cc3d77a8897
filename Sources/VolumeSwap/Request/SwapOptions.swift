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
            switch key {
            case "strategy": strategy = try Self.strategy(value)
            case "bandwidth_mib_s": bandwidthMiBs = try Self.integer(value, key, 0...(1 << 32))
            case "granularity_kib": granularityKiB = try Self.granularity(value)
            case "buffer_mib": bufferMiB = try Self.integer(value, key, 0...4095)
            case "synchronous_writes": synchronousWrites = try Self.bool(value, key)
            case "timeout_s": timeoutS = try Self.seconds(value, key)
            case "stall_timeout_s": stallTimeoutS = try Self.seconds(value, key)
            case "detect_zeroes": detectZeroes = try Self.bool(value, key)
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

    private static func strategy(_ value: JSONValue) throws(SwapFailure) -> SwapStrategy? {
        guard let text = value.stringValue, text == "auto" || SwapStrategy(rawValue: text) != nil else {
            throw .invalidInput("options.strategy: must be auto, rebase or copy")
        }
        return SwapStrategy(rawValue: text)
    }

    private static func granularity(_ value: JSONValue) throws(SwapFailure) -> Int64 {
        let number = try integer(value, "granularity_kib", 0...65536)
        guard number & (number - 1) == 0 || number == 0 else {
            throw .invalidInput("options.granularity_kib: \(number) is not a power of two")
        }
        return number
    }

    static func integer(_ value: JSONValue, _ key: String, _ range: ClosedRange<Int64>, in parent: String = "options.")
        throws(SwapFailure) -> Int64
    {
        guard let number = value.wholeValue else { throw .invalidInput("\(parent)\(key): must be an integer") }
        guard range.contains(number) else {
            throw .invalidInput(
                "\(parent)\(key): \(number) is out of range, \(range.lowerBound) to \(range.upperBound) is allowed")
        }
        return number
    }

    private static func seconds(_ value: JSONValue, _ key: String) throws(SwapFailure) -> Double {
        guard let number = value.doubleValue, number.isFinite else {
            throw .invalidInput("options.\(key): must be a number of seconds")
        }
        guard (0...31_536_000).contains(number) else {
            throw .invalidInput("options.\(key): \(number) is out of range, 0 to 31536000 seconds are allowed")
        }
        return number
    }

    private static func bool(_ value: JSONValue, _ key: String) throws(SwapFailure) -> Bool {
        guard let flag = value.boolValue else { throw .invalidInput("options.\(key): must be true or false") }
        return flag
    }
}
