/// One kind of volume: how to read its connection_info, and where that leads. Like one of nova's `virt/libvirt/volume/*.py`.
///
/// A driver is one file in `Drivers/` and one entry in ``VolumeDrivers``; nothing else tests a driver_volume_type.
protocol VolumeDriver: Sendable {
    /// The `driver_volume_type`s that it handles.
    var types: [String] { get }
    /// The members of `data` that it reads, besides the common ones, and their types.
    var members: [String: ConnectionInfo.Member] { get }
    /// Whether a connector (pivotd's helper or nova's) attaches and detaches its volumes that have a host path.
    var isHostAttached: Bool { get }
    /// Whether its volumes are files on a share, so that a path leads to the same volume on every host.
    var isOnShare: Bool { get }

    /// The place that connection_info names, without asking the host.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` naming the member.
    func target(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> VolumeTarget

    /// The mounted share that holds a volume without a path of its own; nil without an export and a name.
    ///
    /// - Throws: ``SwapFailure`` of kind `invalidInput` naming the member.
    func share(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> ShareLocation?

    /// The names that connection_info gives the volume itself, whatever host path leads to it.
    func identity(of connection: ConnectionInfo) -> VolumeIdentity
    /// Whether these are all names that a host may show, so that a device with others is certainly another volume.
    ///
    /// - Parameter isMultipath: whether it is a multipath device.
    func namesAllPaths(of connection: ConnectionInfo, isMultipath: Bool) -> Bool
}

extension VolumeDriver {
    func namesAllPaths(of connection: ConnectionInfo, isMultipath: Bool) -> Bool { true }

    var isOnShare: Bool { false }

    func share(of connection: ConnectionInfo, _ context: DriverContext) throws(SwapFailure) -> ShareLocation? {
        try ShareLocation(connection, context)
    }

    func identity(of connection: ConnectionInfo) -> VolumeIdentity { VolumeIdentity() }
}

/// A kind of volume that QEMU reaches by itself.
protocol NetworkVolumeDriver: VolumeDriver {
    /// libvirt's `protocol` in `<source>`.
    var networkProtocol: String { get }
    /// The port that QEMU uses if none is given.
    var defaultPort: Int { get }
    /// Whether a volume can also be a block device of the host, and whether that shows its name.
    var hostDevice: HostDevice { get }
    /// Whether a volume's name is unique only per server, so that the server's addresses are part of its identity.
    var isNamedByServer: Bool { get }
    /// Whether each host may find another volume under the same name.
    var isNumberedPerHost: Bool { get }
    /// Whether QEMU can drop its connection to the volume (`yank`).
    var canBeYanked: Bool { get }

    /// The names of the volume at a place.
    func names(of network: NetworkLocation) -> Set<VolumeIdentity.Name>
    /// The name that udev's path of a host device shows; nil if the path is not one of this driver's.
    func name(ofPath path: String) -> VolumeIdentity.Name?
    /// The name that the kernel gives a host device; nil if it is not one of this driver's.
    func name(ofDevice place: PathDescription) -> VolumeIdentity.Name?

    /// What QEMU needs to log in, without making anything.
    ///
    /// - Throws: ``SwapFailure`` for missing or unknown credentials; ``HypervisorError`` if libvirt does not answer.
    func credentials(
        of connection: ConnectionInfo, _ network: NetworkLocation, _ hypervisor: any Hypervisor
    ) async throws -> VolumeCredentials
    /// The UUID of the libvirt secret that pivotd makes for such a volume; nil if it makes none.
    func ownSecret(for network: NetworkLocation) -> String?
}

extension NetworkVolumeDriver {
    var isNumberedPerHost: Bool { false }

    func name(ofPath path: String) -> VolumeIdentity.Name? { nil }
    func name(ofDevice place: PathDescription) -> VolumeIdentity.Name? { nil }
    func ownSecret(for network: NetworkLocation) -> String? { nil }

    func credentials(
        of connection: ConnectionInfo, _ network: NetworkLocation, _ hypervisor: any Hypervisor
    ) async throws -> VolumeCredentials { VolumeCredentials() }
}

/// Whether a network volume can be a block device of the host.
enum HostDevice: Sendable {
    case never
    /// It can, once somebody maps it for use, and the device's names always identify the volume.
    case named
    /// It can, also without a use: the host is logged in. The device's names may not identify the volume: multipath.
    case perhapsUnnamed
}

/// What a driver knows about the host when it reads connection_info.
struct DriverContext: Sendable {
    /// nova's directory for mounted shares.
    var mountPointBase: String
    /// Whether a connector can attach a volume that QEMU could reach by itself.
    var hasConnector = false
    /// Whether to prefer QEMU's own initiator over such a connector, unless connection_info decides.
    var prefersQEMUInitiator = false
    /// Names the argument in errors.
    var argument: String
}

struct VolumeCredentials: Sendable {
    var auth: VolumeSource.Auth?
    /// The volume's own libvirt secret, which is yet to be made.
    var secret: VolumeSecret?
}

/// A libvirt secret of pivotd's own for one volume. Its value is never printed.
///
/// Whoever uses the volume logs in with it, so it is made, or given another value, only once nobody else is known to use the volume.
struct VolumeSecret: Sendable, CustomStringConvertible, CustomReflectable {
    let uuid: String
    /// libvirt's definition of it.
    let xml: String
    let value: [UInt8]
    let network: NetworkLocation

    var description: String { "secret \(uuid)" }
    var customMirror: Mirror { Mirror(self, children: ["uuid": uuid]) }
}

/// Every kind of volume that pivotd knows.
enum VolumeDrivers {
    private static let known: [any VolumeDriver] = [
        LocalPath(types: ["local", "file", "lvm", "block"], isOnShare: false),
        LocalPath(types: ["gpfs", "nfs", "glusterfs", "smbfs", "vzstorage"], isOnShare: true),
        LocalPath(types: ["quobyte"], isOnShare: true, scheme: "quobyte://"), Scality(), RBD(), NBD(), ISCSI(),
    ]
    /// Handles every type that no other driver handles.
    private static let fallback = HostAttached()

    private static let byType = Dictionary(uniqueKeysWithValues: known.flatMap { driver in driver.types.map { ($0, driver) } })
    /// Every type that has a driver of its own.
    static let types = byType.keys.sorted()
    static let network = known.compactMap { $0 as? any NetworkVolumeDriver }
    private static let byProtocol = Dictionary(uniqueKeysWithValues: network.map { ($0.networkProtocol, $0) })

    /// The members that any driver reads. A member of the wrong type is refused whatever the driver.
    static let members = known.reduce(into: ConnectionInfo.commonMembers) { members, driver in
        members.merge(driver.members) { one, _ in one }
    }

    static func serving(type: String) -> any VolumeDriver { byType[type] ?? fallback }
    static func serving(networkProtocol: String) -> (any NetworkVolumeDriver)? { byProtocol[networkProtocol] }
}

extension ConnectionInfo {
    var driver: any VolumeDriver { VolumeDrivers.serving(type: driverVolumeType) }

    /// The names that it gives the volume itself, by its driver.
    var identity: VolumeIdentity { driver.identity(of: self) }
}

extension NetworkLocation {
    /// The driver of the protocol; nil if pivotd does not swap to it.
    var driver: (any NetworkVolumeDriver)? { VolumeDrivers.serving(networkProtocol: transport) }

    /// Whether the volume can also be a block device of the host.
    var canBeHostDevice: Bool { driver.map { $0.hostDevice != .never } ?? false }
}

extension VolumeLocation {
    /// Whether QEMU can drop its connection to the volume (`yank`).
    var canBeYanked: Bool {
        guard case .network(let network) = self else { return false }
        return network.driver?.canBeYanked ?? false
    }
}
