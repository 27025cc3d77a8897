import CLibvirt

/// What a domain's guest does (`virDomainGetState`).
package enum LibvirtDomainState: Sendable, Hashable {
    case running
    /// Paused by a client's request (`VIR_DOMAIN_PAUSED_USER`), or libvirt does not know by whom.
    case pausedByUser
    /// Paused by libvirt or QEMU, for this reason.
    case paused(reason: String)
    /// Shut off, shutting down, crashed or suspended by the guest itself.
    case notRunning

    init(state: Int32, reason: Int32) {
        self =
            switch UInt32(bitPattern: state) {
            case VIR_DOMAIN_RUNNING.rawValue, VIR_DOMAIN_BLOCKED.rawValue: .running
            case VIR_DOMAIN_PAUSED.rawValue: Self.paused(UInt32(bitPattern: reason))
            default: .notRunning
            }
    }

    private static func paused(_ reason: UInt32) -> LibvirtDomainState {
        switch reason {
        case VIR_DOMAIN_PAUSED_USER.rawValue, VIR_DOMAIN_PAUSED_UNKNOWN.rawValue: .pausedByUser
        case VIR_DOMAIN_PAUSED_MIGRATION.rawValue: .paused(reason: "migration")
        case VIR_DOMAIN_PAUSED_SAVE.rawValue: .paused(reason: "save")
        case VIR_DOMAIN_PAUSED_DUMP.rawValue: .paused(reason: "core dump")
        case VIR_DOMAIN_PAUSED_IOERROR.rawValue: .paused(reason: "I/O error")
        case VIR_DOMAIN_PAUSED_WATCHDOG.rawValue: .paused(reason: "watchdog")
        case VIR_DOMAIN_PAUSED_FROM_SNAPSHOT.rawValue, VIR_DOMAIN_PAUSED_SNAPSHOT.rawValue: .paused(reason: "snapshot")
        case VIR_DOMAIN_PAUSED_POSTCOPY.rawValue, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED.rawValue: .paused(reason: "postcopy")
        default: .paused(reason: "reason \(reason)")
        }
    }
}

extension LibvirtDomain {
    /// Whether the guest's CPUs run, or why not. Answers while the domain hangs: this takes no lock.
    package func state() async throws(LibvirtError) -> LibvirtDomainState {
        try await call { (domain) throws(LibvirtError) in
            var (state, reason): (Int32, Int32) = (0, 0)
            try check(unsafe virDomainGetState(domain, &state, &reason, 0))
            return LibvirtDomainState(state: state, reason: reason)
        }
    }
}
