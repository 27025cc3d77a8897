@testable import VolumeSwap

/// One call to libvirtd, which is carried out whether or not anyone still waits for its answer.
final class SimCall: @unchecked Sendable {
    enum Need {
        /// Look-ups, XML, lists, define.
        case nothing
        /// The domain's job lock.
        case lock
        /// The lock, and an answer from QEMU's monitor.
        case monitor
    }

    let name: String
    let domain: SimDomain?
    let need: Need
    /// What else blocks it in QEMU: a destination that does not answer while it is opened.
    let isBlocked: () -> Bool
    /// Its result if QEMU has just died; by default a broken monitor.
    var ifDead: () -> HypervisorError? = {
        HypervisorError(.other, number: 38, "Unable to read from monitor: Connection reset by peer")
    }
    var isPivot: Bool { name == "pivot" }
    let body: () -> HypervisorError?
    private(set) var isAnswered = false
    private(set) var error: HypervisorError?
    /// The caller that waits for the answer.
    var waiter: UnsafeContinuation<Void, Never>?

    init(
        _ name: String, _ domain: SimDomain?, _ need: Need, isBlocked: @escaping () -> Bool,
        _ body: @escaping () -> HypervisorError?
    ) {
        self.name = name
        self.domain = domain
        self.need = need
        self.isBlocked = isBlocked
        self.body = body
    }

    func answer(_ error: HypervisorError?) {
        isAnswered = true
        self.error = error
        wake()
    }

    func wake() {
        waiter?.resume()
        waiter = nil
    }
}
