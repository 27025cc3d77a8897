import CLibvirt

/// Whether something holds up further calls on a domain (`virDomainGetControlInfo`).
package enum LibvirtDomainControl: Sendable, Hashable {
    /// Nothing does, or there is no guest.
    case free
    /// Something does: a command that QEMU has not answered for this long, or with nil a different job or a lost monitor.
    case occupied(command: Duration?)

    /// Whether a call on the domain may have to wait for long: not if it is a command that has only just begun.
    package var mayTakeLong: Bool {
        switch self {
        case .free: false
        case .occupied(let command): command.map { $0 >= .seconds(1) } ?? true
        }
    }

    init(state: UInt32, milliseconds: UInt64) {
        self =
            switch state {
            case VIR_DOMAIN_CONTROL_OK.rawValue: .free
            case VIR_DOMAIN_CONTROL_OCCUPIED.rawValue: .occupied(command: .milliseconds(Int64(clamping: milliseconds)))
            default: .occupied(command: nil)
            }
    }
}

extension LibvirtDomain {
    /// Whether something holds up further calls. Answers while the domain hangs: this takes no lock.
    package func control() async throws(LibvirtError) -> LibvirtDomainControl {
        try await call { (domain) throws(LibvirtError) in try LibvirtDomainControl(of: domain) }
    }

    /// The configuration, as ``xml(inactive:secure:)`` gives it.
    ///
    /// - Throws: `isOperationTimeout` at once if something holds up further calls: libvirt might answer only after a long time.
    package func xmlIfFree(inactive: Bool = false, secure: Bool = false) async throws(LibvirtError) -> String {
        try await call { (domain) throws(LibvirtError) in
            guard try !LibvirtDomainControl(of: domain).mayTakeLong else { throw .occupied }
            return try Self.xml(domain, inactive: inactive, secure: secure)
        }
    }
}

extension LibvirtError {
    fileprivate static var occupied: LibvirtError {
        LibvirtError(
            code: Int32(VIR_ERR_OPERATION_TIMEOUT.rawValue), domain: Int32(VIR_FROM_NONE.rawValue),
            message: "the domain is occupied by another call")
    }
}

extension LibvirtDomainControl {
    @safe fileprivate init(of domain: OpaquePointer) throws(LibvirtError) {
        var info = virDomainControlInfo()
        do throws(LibvirtError) {
            try check(unsafe virDomainGetControlInfo(domain, &info, 0))
        } catch {
            guard error.isOperationInvalid || error.isUnsupported else { throw error }
            self = .free
            return
        }
        self.init(state: info.state, milliseconds: info.stateTime)
    }
}
