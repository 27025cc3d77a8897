/// Why a swap failed, for programs: one code for each cause that an operator acts on differently. A closed list.
package enum ReasonCode: String, Sendable, Hashable, Codable, CaseIterable {
    case invalidArgument = "invalid_argument"
    case pathNotAllowed = "path_not_allowed"
    case instanceNotFound = "instance_not_found"
    case instanceNotRunning = "instance_not_running"
    case diskNotFound = "disk_not_found"
    case diskNotMovable = "disk_not_movable"
    case oldVolumeMismatch = "old_volume_mismatch"
    case newVolumeMissing = "new_volume_missing"
    case newVolumeInUse = "new_volume_in_use"
    case newVolumeTooSmall = "new_volume_too_small"
    case multiattach
    case secretMissing = "secret_missing"
    case connectorFailed = "connector_failed"
    case notSupported = "not_supported"
    case foreignJob = "foreign_job"
    case noSpace = "no_space"
    case ioError = "io_error"
    case timedOut = "timed_out"
    case stalled
    case aborted
    case guestGone = "guest_gone"
    case hypervisorRefused = "hypervisor_refused"
    case configurationFailed = "configuration_failed"
    case `internal`

    /// Whether the same request may succeed when it is sent again later, with nothing changed by anybody.
    package var isRetryable: Bool {
        switch self {
        case .connectorFailed, .foreignJob, .ioError, .timedOut, .stalled, .configurationFailed, .internal: true
        case .invalidArgument, .pathNotAllowed, .instanceNotFound, .instanceNotRunning, .diskNotFound, .diskNotMovable,
            .oldVolumeMismatch, .newVolumeMissing, .newVolumeInUse, .newVolumeTooSmall, .multiattach, .secretMissing,
            .notSupported, .noSpace, .aborted, .guestGone, .hypervisorRefused:
            false
        }
    }
}

/// The volume that the VM runs on when a swap has failed: what a caller may delete follows from it.
package enum VolumeInUse: String, Sendable, Hashable, Codable, CaseIterable {
    case old
    case new
    /// Nobody could be asked, or nobody looked: keep both volumes.
    case unknown
    /// The guest is gone, or was on neither volume.
    case none
}
