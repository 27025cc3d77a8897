/// How volumes are reached on this host.
package struct VolumeSettings: Sendable {
    /// Where destinations may be: `allowed_paths`.
    package var allowedPaths: PathPolicy
    /// nova's directory for mounted shares: `mount_point_base`.
    package var mountPointBase = "/var/lib/nova/mnt"
    /// Whether to use QEMU's own iSCSI initiator even if a connector could attach the volume: `prefer_qemu_initiator`.
    package var prefersQEMUInitiator = false

    /// Default settings with these paths.
    package init(allowedPaths: PathPolicy) { self.allowedPaths = allowedPaths }
}
