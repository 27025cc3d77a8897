import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// `virDomainGetState`
    package func guestState(_ domain: DomainIdentity) async throws(HypervisorError) -> GuestState {
        let state = try await reading(domain, "getState") { (domain) throws(LibvirtError) in try await domain.state() }
        return switch state {
        case .running: .running
        case .pausedByUser: .pausedOnRequest
        case .paused(let reason): .paused(reason)
        case .notRunning: .notRunning
        }
    }

    /// `virDomainSuspend`; takes as long as QEMU takes to finish the guest's requests.
    package func suspend(_ domain: DomainIdentity) async throws(HypervisorError) {
        try await writing(domain, "suspend") { (domain) throws(LibvirtError) in try await domain.suspend() }
    }

    /// `virDomainResume`, in its turn after a suspend that has not been answered.
    package func resume(_ domain: DomainIdentity) async throws(HypervisorError) {
        // A task of its own: the call of a cancelled one would not be made, and the guest would stay paused.
        let call = Task { [self] in
            await Result(of: { () async throws(HypervisorError) in
                try await writing(domain, "resume") { (domain) throws(LibvirtError) in try await Self.resume(domain) }
            })
        }
        try await call.value.get()
    }

    private static func resume(_ domain: LibvirtDomain) async throws(LibvirtError) {
        guard [.pausedByUser, .running].contains(try await domain.state()) else { return }
        do throws(LibvirtError) {
            // Also if it runs: the call waits for the domain's lock, and so for a suspend whose connection was lost.
            try await domain.resume()
        } catch {
            let isRefused = !error.isConnectionLost && !error.isOperationTimeout
            guard isRefused, try await domain.state() != .pausedByUser else { throw error }
        }
    }
}
