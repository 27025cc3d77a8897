/// One `<disk>` of a domain, as plain values.
package typealias DiskDescription = Shared<DiskFacts>

/// What a ``DiskDescription`` says.
package struct DiskFacts: Sendable, Hashable, Codable {
    /// `<mirror>`: the other end of a running block copy or active commit.
    package struct Mirror: Sendable, Hashable, Codable {
        /// libvirt's job name: `copy`, `active-commit`.
        package var job: String
        /// `ready='yes'`, `'abort'` or `'pivot'`; nil while the copy is not in step.
        package var ready: String?
        package var location: VolumeLocation
        package var format: String?
        package var isEncrypted = false
        /// The secret of the encryption.
        package var passphrase: SecretReference?
    }

    /// `vdb`
    package var target: String
    /// `disk`, `cdrom`, `floppy`, `lun`
    package var device: String
    package var location: VolumeLocation?
    package var format: String?
    package var isEncrypted: Bool
    /// The secret of the encryption.
    package var passphrase: SecretReference?
    /// The files below the source, as far as libvirt names them: a guest reads them, too.
    package var backing: [VolumeLocation]
    package var hasSlices: Bool
    package var isShareable: Bool
    package var isReadOnly: Bool
    /// `unmap` or `ignore`, where the driver says one.
    package var discard: String?
    package var serial: String?
    package var mirror: Mirror?
    /// UUIDs of the libvirt secrets that the source uses.
    package var secretUUIDs: [String]
    /// What belongs to the source and does not move with the disk: `reservations`, `seclabel`, `startupPolicy`.
    package var droppedElements: [String]
    /// All that a swap must not change, element by element in a canonical order: target, bus, address, alias, cache, iotune, …
    package var keptElements: [String]
}

/// A domain's configuration as far as a swap looks at it.
package struct DomainDescription: Sendable, Hashable {
    package var uuid: String
    package var name: String
    package var disks: [DiskDescription]
    package var hasTPM: Bool
    /// Whether this is what runs, not what is stored.
    package var isLive: Bool

    package init(uuid: String, name: String, disks: [DiskDescription], hasTPM: Bool, isLive: Bool = true) {
        self.uuid = uuid
        self.name = name
        self.disks = disks
        self.hasTPM = hasTPM
        self.isLive = isLive
    }

    package func disk(_ target: String) -> DiskDescription? { disks.first { $0.facts.target == target } }
}
