/// One kind of volume: what its connection_info says, and where that leads. As one of nova's `virt/libvirt/volume/*.py`.
///
/// A kind is one file in `Drivers/` and its place in ``VolumeDrivers``; nothing else tests a driver_volume_type.
protocol VolumeDriver: Sendable {
    /// The `driver_volume_type`s that it serves.
    var types: [String] { get }
    /// The members of `data` that it reads, beside those that all drivers may have, and what they must be.
    var members: [String: ConnectionInfo.Member] { get }
    /// Whether a volume at a host path was attached to the host by a connector, pivotd's helper or nova's, and is detached by one.
    var isHostAttached: Bool { get }

    /// The place that connection_info names, by its text alone.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` that names the member.
    func target(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> VolumeTarget

    /// The mounted share that a volume without a path of its own is on; nil where no export and name say so.
    func share(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> ShareLocation?

    /// The names that connection_info gives the volume itself, whatever path of the host leads to it.
    func identity(of connection: ConnectionInfo) -> VolumeIdentity
}

extension VolumeDriver {
    func share(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> ShareLocation? {
        try ShareLocation(connection, context)
    }

    func identity(of connection: ConnectionInfo) -> VolumeIdentity { VolumeIdentity() }
}

/// A kind of volume that QEMU reaches by itself.
protocol NetworkVolumeDriver: VolumeDriver {
    /// libvirt's `protocol` in `<source>`.
    var networkProtocol: String { get }
    var defaultPort: Int { get }
    /// Whether a volume can also be a block device of the host.
    var hostDevice: HostDevice { get }
    /// Whether a volume's name holds for one server only, so that the server's addresses are part of its identity.
    var isNamedByServer: Bool { get }
    /// Whether QEMU can break off its connection to the volume: `yank`.
    var canBeYanked: Bool { get }

    /// The names of the volume at a place.
    func names(of network: NetworkLocation) -> Set<VolumeIdentity.Name>
    /// The name that udev's name of a host device gives.
    func name(ofPath path: String) -> VolumeIdentity.Name?
    /// The name that the kernel gives a host device.
    func name(ofDevice place: PathDescription) -> VolumeIdentity.Name?

    /// What QEMU needs to log in; makes a libvirt secret where the volume needs one of its own.
    func credentials(
        of connection: ConnectionInfo, _ network: NetworkLocation, _ secrets: VolumeSecrets
    ) async throws -> VolumeCredentials
    /// The UUID of the libvirt secret that pivotd makes for such a volume; nil where it makes none.
    func ownSecret(for network: NetworkLocation) -> String?
}

extension NetworkVolumeDriver {
    func name(ofPath path: String) -> VolumeIdentity.Name? { nil }
    func name(ofDevice place: PathDescription) -> VolumeIdentity.Name? { nil }
    func ownSecret(for network: NetworkLocation) -> String? { nil }

    func credentials(
        of connection: ConnectionInfo, _ network: NetworkLocation, _ secrets: VolumeSecrets
    ) async throws -> VolumeCredentials { VolumeCredentials() }
}

/// How a network volume shows on a host that has it as a block device.
enum HostDevice: Sendable {
    case never
    /// The device's names always tell the volume.
    case named
    /// The device's names may tell nothing: multipath.
    case perhapsUnnamed
}

/// What a driver knows of the host when it reads connection_info.
struct DriverContext: Sendable {
    /// nova's directory of mounted shares.
    var mountPointBase: String
    /// Whether a connector can attach a volume that QEMU could reach by itself.
    var hasConnector = false
    /// Whether QEMU's own initiator is preferred over such a connector.
    var prefersQEMUInitiator = false
    /// Names the argument in an error.
    var argument: String
}

/// Makes and finds the libvirt secrets of one volume.
struct VolumeSecrets: Sendable {
    let hypervisor: any Hypervisor
    let ledger: AttachmentLedger
}

struct VolumeCredentials: Sendable {
    var auth: VolumeSource.Auth?
    /// The libvirt secret that was made for the volume.
    var madeSecret: String?
}

/// Every kind of volume that pivotd knows.
enum VolumeDrivers {
    private static let known: [any VolumeDriver] = [
        LocalPath(types: ["local", "file", "lvm", "block", "gpfs", "nfs", "glusterfs", "smbfs", "vzstorage"]),
        LocalPath(types: ["quobyte"], scheme: "quobyte://"), Scality(), RBD(), NBD(), ISCSI(),
    ]
    /// Serves what no other does.
    private static let fallback = HostAttached()

    private static let byType = Dictionary(uniqueKeysWithValues: known.flatMap { driver in driver.types.map { ($0, driver) } })
    static let network = known.compactMap { $0 as? any NetworkVolumeDriver }
    private static let byProtocol = Dictionary(uniqueKeysWithValues: network.map { ($0.networkProtocol, $0) })

    /// The members that any driver reads: a member of the wrong type is refused whatever the kind.
    static let members = known.reduce(into: ConnectionInfo.commonMembers) { members, driver in
        members.merge(driver.members) { one, _ in one }
    }

    static func serving(type: String) -> any VolumeDriver { byType[type] ?? fallback }
    static func serving(networkProtocol: String) -> (any NetworkVolumeDriver)? { byProtocol[networkProtocol] }
}

extension ConnectionInfo {
    var driver: any VolumeDriver { VolumeDrivers.serving(type: driverVolumeType) }
}

extension NetworkLocation {
    /// nil for a protocol that pivotd does not swap to.
    var driver: (any NetworkVolumeDriver)? { VolumeDrivers.serving(networkProtocol: transport) }

    /// Whether the volume can also be a block device of the host.
    var canBeHostDevice: Bool { driver.map { $0.hostDevice != .never } ?? false }
}

extension VolumeLocation {
    /// Whether QEMU can break off its connection to the volume (`yank`).
    var canBeYanked: Bool {
        guard case .network(let network) = self else { return false }
        return network.driver?.canBeYanked ?? false
    }
}
