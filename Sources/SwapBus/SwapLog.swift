import JSON
import Logging
import OsloMessaging
import VolumeSwap

/// The log line at the end of a swap.
struct SwapLog {
    let record: SwapRecord
    let outcome: SwapOutcome
    let duration: Duration
    let overhead: Duration?

    /// How much a failure is an operator's business.
    ///
    /// Requests that cannot be carried out, and aborts, are answers to their callers; what leaves something to do is an error.
    var level: Logger.Level {
        guard case .failure(let failure) = outcome else { return .info }
        let isInDoubt = failure.inUse == .unknown || failure.inUse == .new
        if !failure.leftBehind.isEmpty || failure.code == .internal { return .error }
        if failure.kind != .volumeRebaseFailed || failure.isAbort { return .notice }
        return isInDoubt ? .error : .warning
    }

    /// The task, its volumes, and what was copied at which rate.
    var metadata: Logger.Metadata {
        var metadata = record.logMetadata
        for key in ["old_volume_id", "new_volume_id"] {
            if let id = record.args[key]?.stringValue { metadata[key] = "\(Echo.cut(id))" }
        }
        let seconds = duration / .seconds(1)
        metadata["seconds"] = .stringConvertible((seconds * 1000).rounded() / 1000)
        guard let bytes = copiedBytes else { return metadata }
        metadata["bytes"] = .stringConvertible(bytes)
        let copying = seconds - (overhead ?? .zero) / .seconds(1)
        if bytes > 0, copying > 0 { metadata["bytes_per_second"] = .stringConvertible((Double(bytes) / copying).rounded()) }
        return metadata
    }

    private var copiedBytes: Int64? {
        switch outcome {
        case .success(let result): result.copiedBytes
        case .failure(let failure): failure.course?.copiedBytes
        }
    }
}
