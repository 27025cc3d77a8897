/// One `<disk>` of a domain, as plain values.
package typealias DiskDescription = Shared<DiskFacts>

/// The contents of a ``DiskDescription``.
package struct DiskFacts: Sendable, Hashable, Codable {
    /// A `<mirror>`: the other end of a running block copy or active commit.
    package struct Mirror: Sendable, Hashable, Codable {
        /// libvirt's job name: `copy`, `active-commit`.
        package var job: String
        /// `yes`, `abort` or `pivot`; nil while the copy is not in sync.
        package var ready: String?
        package var location: VolumeLocation
        package var format: String?
        package var isEncrypted = false
        /// Whether it is limited to a window (`<slices>`).
        package var hasSlices = false
        /// The secret of the encryption.
        package var passphrase: SecretReference?
    }

    /// The target name, such as `vdb`.
    package var target: String
    /// The device type: `disk`, `cdrom`, `floppy` or `lun`.
    package var device: String
    /// Where the disk's bytes are; nil for an empty drive.
    package var location: VolumeLocation?
    package var format: String?
    package var isEncrypted: Bool
    /// The secret of the encryption.
    package var passphrase: SecretReference?
    /// The backing chain below the source, as far as libvirt names it: the guest reads it too.
    package var backing: [VolumeLocation]
    /// Whether the source is limited to a window (`<slices>`).
    package var hasSlices: Bool
    /// Whether several writers are allowed (`<shareable/>`).
    package var isShareable: Bool
    /// Whether it is read-only (`<readonly/>`).
    package var isReadOnly: Bool
    /// Whether the driver's `copy_on_read` is on.
    package var isCopiedOnRead = false
    /// The driver's `discard`: `unmap` or `ignore`; nil if not set.
    package var discard: String?
    /// The serial that the guest sees; nova sets it to the volume's id.
    package var serial: String?
    /// The destination of a running copy, if any.
    package var mirror: Mirror?
    /// UUIDs of the libvirt secrets that the source uses.
    package var secretUUIDs: [String]
    /// Elements that belong to the source and are not carried over: `reservations`, `seclabel`, `startupPolicy`.
    package var droppedElements: [String]
    /// Everything that a swap must not change, each in canonical form: target, bus, address, alias, cache, iotune, …
    package var keptElements: [String]
}

/// The parts of a domain's configuration that matter to a swap.
package struct DomainDescription: Sendable, Hashable {
    package var uuid: String
    package var name: String
    package var disks: [DiskDescription]
    /// Whether it has an emulated TPM, whose state undefining may delete.
    package var hasTPM: Bool
    /// Whether this is the running configuration, not the stored one.
    package var isLive: Bool
    /// LUNs that the guest has besides its disks.
    package var passedThrough: [PassedThroughLUN]

    package init(
        uuid: String, name: String, disks: [DiskDescription], hasTPM: Bool, isLive: Bool = true,
        passedThrough: [PassedThroughLUN] = []
    ) {
        self.uuid = uuid
        self.name = name
        self.disks = disks
        self.hasTPM = hasTPM
        self.isLive = isLive
        self.passedThrough = passedThrough
    }

    /// The disk with this target name.
    package func disk(_ target: String) -> DiskDescription? { disks.first { $0.facts.target == target } }
}
