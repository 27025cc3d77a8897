/// How volumes are reached on this host.
package struct VolumeSettings: Sendable {
    package var allowedPaths: PathPolicy
    /// nova's directory of mounted shares.
    package var mountPointBase = "/var/lib/nova/mnt"
    /// Reach iSCSI volumes by QEMU's own initiator also where a connector could attach them.
    package var prefersQEMUInitiator = false

    package init(allowedPaths: PathPolicy) { self.allowedPaths = allowedPaths }
}
