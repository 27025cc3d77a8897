import Libvirt
import Synchronization
import VolumeSwap

/// One run of a guest: its QEMU stays the same program.
struct RunningGuest: Sendable, Equatable {
    let domain: DomainIdentity
    private let id: UInt32?
    /// libvirt numbers its guests anew when it restarts, which ends the connection.
    private let connection: LibvirtConnection

    init(_ domain: LibvirtDomain, _ connection: LibvirtConnection) {
        self.domain = DomainIdentity(uuid: domain.uuid, name: domain.name)
        id = domain.id
        self.connection = connection
    }

    static func == (left: RunningGuest, right: RunningGuest) -> Bool {
        left.domain.uuid == right.domain.uuid && left.id == right.id && left.connection === right.connection
    }
}

/// What a guest's QEMU can do.
struct QEMUAnswer: Sendable {
    let guest: RunningGuest
    let supported: [HypervisorFeature: Bool]
}

/// The last guest's answer, so that a guest is asked once however often somebody wants to know.
final class LastQEMUAnswer: Sendable {
    private let state = Mutex<QEMUAnswer?>(nil)

    var known: QEMUAnswer? {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
