/// A disk of one of this host's domains, for `list_volumes`.
package struct HostVolume: Sendable {
    package let domain: DomainIdentity
    /// The target name, such as `vdb`.
    package let disk: String
    package let source: VolumeLocation
    /// The serial that the guest sees: nova sets it to the volume's id.
    package let serial: String?
    /// The size that the guest sees; nil if the domain does not run or does not answer.
    package internal(set) var bytes: Int64?
    /// libvirt's type of the block job on the disk, such as `copy`; nil if there is none.
    package internal(set) var job: String?

    init?(_ domain: DomainDescription, _ disk: DiskDescription) {
        guard ["disk", "lun"].contains(disk.facts.device), let source = disk.facts.location else { return nil }
        self.domain = DomainIdentity(uuid: domain.uuid, name: domain.name)
        self.disk = disk.facts.target
        self.source = source
        serial = disk.facts.serial
        job = disk.facts.mirror?.job
    }
}
