/// Why a swap failed, in the terms of nova's exceptions.
///
/// `reason` is for an operator: it names the disk, the volumes, and the cause in libvirt's or QEMU's words; never a secret.
package struct SwapFailure: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// The exception that the caller gets.
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

    /// Which exception the caller gets.
    package var kind: Kind
    /// The reason, or just the subject for kinds whose message names only that (an instance id, a disk).
    package var reason: String
    /// The cause, for programs.
    package var code: ReasonCode
    /// The volume that the VM runs on; nil if it was not checked.
    package var inUse: VolumeInUse?
    /// What could not be undone, one entry each, for an operator to clean up.
    package var leftBehind: [String]
    /// How far the swap had come; nil if it was refused.
    package var course: SwapCourse?
    /// How the task ended, if this is what its caller was told before that.
    package var conclusion: SwapConclusion?

    /// Whether `abort_swap` caused the failure, which makes the task's state `aborted` instead of `failed`.
    package var isAbort: Bool { code == .aborted }

    /// - Parameter code: nil for the usual code of the kind.
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

    /// Decodes a failure, including one from an earlier version, which had no codes.
    ///
    /// - Throws: `DecodingError` if it is not a failure.
    package init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        let kind = try values.decode(Kind.self, forKey: .kind)
        self.init(
            kind, try values.decode(String.self, forKey: .reason), try values.decodeIfPresent(ReasonCode.self, forKey: .code),
            inUse: try values.decodeIfPresent(VolumeInUse.self, forKey: .inUse),
            leftBehind: try values.decodeIfPresent([String].self, forKey: .leftBehind) ?? [])
        course = try values.decodeIfPresent(SwapCourse.self, forKey: .course)
        conclusion = try values.decodeIfPresent(SwapConclusion.self, forKey: .conclusion)
    }

    /// A failure that the caller gets as `VolumeRebaseFailed`.
    package static func rebaseFailed(_ reason: String, _ code: ReasonCode = .hypervisorRefused) -> SwapFailure {
        SwapFailure(.volumeRebaseFailed, reason, code)
    }

    /// A failure that the caller gets as `InvalidInput`.
    package static func invalidInput(_ reason: String, _ code: ReasonCode = .invalidArgument) -> SwapFailure {
        SwapFailure(.invalidInput, reason, code)
    }

    /// A failure that the caller gets as `InvalidVolume`.
    package static func invalidVolume(_ reason: String, _ code: ReasonCode = .diskNotMovable) -> SwapFailure {
        SwapFailure(.invalidVolume, reason, code)
    }

    /// The failure that callers get of a task whose record is damaged.
    static func unreadable(_ task: TaskID) -> SwapFailure {
        var failure = rebaseFailed(
            "task \(task) cannot be read from the journal: check which volume its domain runs on", .internal)
        failure.inUse = .unknown
        return failure
    }

    /// The failure that the swap's own caller gets after `abort_swap`.
    package static let abortedByRequest = SwapFailure(.volumeRebaseFailed, "aborted by request", .aborted)

    /// Advice if the guest has gone from libvirt after the pivot was requested.
    package static let keepBoth = "it is not known which volume the guest last wrote to: keep both volumes and compare them"

    /// The failure when it cannot be determined which volume the guest runs on.
    var inDoubt: SwapFailure {
        adding(
            "it cannot be determined whether the guest moved: QEMU does not show its volume, or may not be asked (allow_monitor_commands)"
        ).keepingBoth
    }

    /// What is said if the guest was started again before the result of a pivot was seen.
    static let startedAgain = "the guest has since been started again on the old volume, and \(keepBoth)"

    /// The failure if the guest was started again before the result of a pivot was seen: the volume that it runs on now may lack its last
    /// writes.
    var afterRestart: SwapFailure {
        var failure = adding(Self.startedAgain)
        failure.inUse = .unknown
        return failure
    }

    /// The failure when it is unknown which volume the guest runs on.
    var keepingBoth: SwapFailure {
        var failure = adding("keep both volumes")
        failure.inUse = .unknown
        return failure
    }

    /// Whether it is unknown which volume the guest runs on.
    var isInDoubt: Bool { inUse == .unknown }

    /// The failure with more appended to its reason.
    func adding(_ more: String) -> SwapFailure {
        var failure = self
        failure.reason += "; \(more)"
        return failure
    }

    package var description: String { "\(kind.rawValue): \(reason)" }
}

/// How far a failed swap had come.
package struct SwapCourse: Sendable, Hashable, Codable {
    package var instanceUUID: String
    package var strategy: SwapStrategy
    package var copiedBytes: Int64
    package var totalBytes: Int64
    /// Whether QEMU runs the disk on the new volume while libvirt names the old one; nil counts as false.
    package var isStranded: Bool?
}
