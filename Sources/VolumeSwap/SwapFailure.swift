/// Why a swap did not happen, in the terms a caller knows from nova's exceptions.
///
/// `reason` is written for an operator: it names the disk, the volumes and libvirt's or QEMU's own cause. It never holds a secret.
package struct SwapFailure: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// The class of failure, one for each row of the failure table.
    package enum Kind: String, Sendable, Hashable, Codable {
        /// `nova.exception.VolumeRebaseFailed`: the copy, pivot, resize or configuration failed, timed out or was aborted.
        case volumeRebaseFailed
        /// `nova.exception.InstanceNotFound`: libvirt knows no such domain.
        case instanceNotFound
        /// `nova.exception.InstanceNotRunning`: the domain is not active.
        case instanceNotRunning
        /// `nova.exception.DiskNotFound`: the domain has no such disk.
        case diskNotFound
        /// `nova.exception.InvalidInput`: an argument is missing, of the wrong type, out of range or forbidden.
        case invalidInput
        /// `nova.exception.InvalidVolume`: the volume cannot be moved.
        case invalidVolume
    }

    package var kind: Kind
    /// The reason, or the bare subject for the kinds whose message names only that (an instance id, a disk).
    package var reason: String
    /// True when the failure is the answer to `abort_swap`: the task's state is then `aborted`, not `failed`.
    package var isAbort: Bool

    package init(_ kind: Kind, _ reason: String, isAbort: Bool = false) {
        self.kind = kind
        self.reason = reason
        self.isAbort = isAbort
    }

    package static func rebaseFailed(_ reason: String) -> SwapFailure { SwapFailure(.volumeRebaseFailed, reason) }
    package static func invalidInput(_ reason: String) -> SwapFailure { SwapFailure(.invalidInput, reason) }
    package static func invalidVolume(_ reason: String) -> SwapFailure { SwapFailure(.invalidVolume, reason) }

    /// What the swap's own caller gets after `abort_swap`.
    package static let abortedByRequest = SwapFailure(.volumeRebaseFailed, "aborted by request", isAbort: true)

    /// Said when the guest is gone from libvirt since the pivot was asked for.
    package static let keepBoth = "which volume the guest wrote to last is not known: keep both volumes and compare them"

    package var description: String { "\(kind.rawValue): \(reason)" }
}
