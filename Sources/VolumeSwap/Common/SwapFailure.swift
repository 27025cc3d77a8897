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
    package var code: ReasonCode
    /// nil as long as nobody has looked.
    package var inUse: VolumeInUse?
    /// What could not be undone, each for an operator to see to.
    package var leftBehind: [String]
    /// How far the swap had come; nil when it was refused.
    package var course: SwapCourse?

    /// True when the failure is the answer to `abort_swap`: the task's state is then `aborted`, not `failed`.
    package var isAbort: Bool { code == .aborted }

    package init(
        _ kind: Kind, _ reason: String, _ code: ReasonCode? = nil, inUse: VolumeInUse? = nil, leftBehind: [String] = []
    ) {
        self.kind = kind
        self.reason = reason
        self.code = code ?? Self.usualCode(of: kind)
        self.inUse = inUse
        self.leftBehind = leftBehind
    }

    private static func usualCode(of kind: Kind) -> ReasonCode {
        switch kind {
        case .volumeRebaseFailed: .hypervisorRefused
        case .instanceNotFound: .instanceNotFound
        case .instanceNotRunning: .instanceNotRunning
        case .diskNotFound: .diskNotFound
        case .invalidInput: .invalidArgument
        case .invalidVolume: .diskNotMovable
        }
    }

    /// Reads what an earlier version wrote, too: it had no codes.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let kind = try values.decode(Kind.self, forKey: .kind)
        self.init(
            kind, try values.decode(String.self, forKey: .reason), try values.decodeIfPresent(ReasonCode.self, forKey: .code),
            inUse: try values.decodeIfPresent(VolumeInUse.self, forKey: .inUse),
            leftBehind: try values.decodeIfPresent([String].self, forKey: .leftBehind) ?? [])
        course = try values.decodeIfPresent(SwapCourse.self, forKey: .course)
    }

    package static func rebaseFailed(_ reason: String, _ code: ReasonCode = .hypervisorRefused) -> SwapFailure {
        SwapFailure(.volumeRebaseFailed, reason, code)
    }

    package static func invalidInput(_ reason: String, _ code: ReasonCode = .invalidArgument) -> SwapFailure {
        SwapFailure(.invalidInput, reason, code)
    }

    package static func invalidVolume(_ reason: String, _ code: ReasonCode = .diskNotMovable) -> SwapFailure {
        SwapFailure(.invalidVolume, reason, code)
    }

    /// What the swap's own caller gets after `abort_swap`.
    package static let abortedByRequest = SwapFailure(.volumeRebaseFailed, "aborted by request", .aborted)

    /// Said when the guest is gone from libvirt since the pivot was asked for.
    package static let keepBoth = "which volume the guest wrote to last is not known: keep both volumes and compare them"

    /// The same failure where nobody can tell which volume the guest runs on.
    var inDoubt: SwapFailure { adding("whether the guest moved cannot be told without allow_monitor_commands").keepingBoth }

    /// The same failure where nobody knows which volume the guest runs on.
    var keepingBoth: SwapFailure {
        var failure = adding("keep both volumes")
        failure.inUse = .unknown
        return failure
    }

    /// The same failure with more to its reason.
    func adding(_ more: String) -> SwapFailure {
        var failure = self
        failure.reason += "; \(more)"
        return failure
    }

    package var description: String { "\(kind.rawValue): \(reason)" }
}

/// How far a swap that failed had come.
package struct SwapCourse: Sendable, Hashable, Codable {
    package var instanceUUID: String
    package var strategy: SwapStrategy
    package var copiedBytes: Int64
    package var totalBytes: Int64
}
