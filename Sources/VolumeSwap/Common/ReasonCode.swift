/// Why a swap failed, for programs: a closed list with one code per cause that operators handle differently.
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

    /// Whether the same request may succeed later, without anyone changing anything.
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

/// The volume that the VM runs on after a failed swap, which decides what the caller may delete.
package enum VolumeInUse: String, Sendable, Hashable, Codable, CaseIterable {
    case old
    case new
    /// Not checked, or impossible to determine: keep both volumes.
    case unknown
    /// The guest is gone, or was on neither volume.
    case none
}
