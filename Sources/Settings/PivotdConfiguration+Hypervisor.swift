extension PivotdConfiguration {
    /// Settings of libvirt and of the volumes.
    package struct Hypervisor: Sendable {
        /// A libvirt URI, or `dry-run:`.
        package var libvirtURI: String
        /// Whether `virDomainQemuMonitorCommand` may be used.
        package var allowMonitorCommands: Bool
        /// The absolute path of an executable that attaches volumes; nil for none.
        package var connectorHelper: String?
        /// Time limit for one run of the connector helper.
        package var connectorTimeout: Duration
        /// Use QEMU's own initiator for iSCSI volumes even with a connector helper.
        package var preferQEMUInitiator: Bool
        /// Where shares are mounted, like nova's `nfs_mount_point_base`.
        package var mountPointBase: String
        /// Absolute directories (everything below) and globs, matched after resolving symbolic links.
        package var allowedPaths: [String]

        init(reader: inout ConfigurationReader) {
            reader.section = .hypervisor
            libvirtURI = reader.text("libvirt_uri", default: "qemu:///system", "A libvirt URI, or dry-run:")
            allowMonitorCommands = reader.boolean(
                "allow_monitor_commands", default: true,
                "Use QEMU monitor commands where libvirt has no call: to grow disks, keep volumes thin, repair a pivot that "
                    + "libvirt lost")
            connectorHelper = reader.optionalPath(
                "connector_helper", "An executable that connects volumes that must be attached to the host")
            connectorTimeout = reader.seconds(
                "connector_timeout_s", default: 120, 1...86_400, "Seconds the connector helper may take")
            preferQEMUInitiator = reader.boolean(
                "prefer_qemu_initiator", default: false, reloads: true,
                "Use QEMU's own initiator for iSCSI volumes even with a connector helper")
            mountPointBase = reader.path(
                "mount_point_base", default: "/var/lib/nova/mnt", reloads: true, "Where shares are mounted, in nova's layout"
            )
            allowedPaths = reader.absolutePaths(
                "allowed_paths", default: Self.usualPaths, reloads: true,
                "Where new volumes may be, after resolving symbolic links: absolute directories (everything below) and globs")
        }

        /// udev's links, the device mapper (which LVM's /dev/VG/LV resolves to), mapped network volumes and nova's mounts. Plain
        /// disks (/dev/sd*), loop devices and other files are left out, because they may belong to the host.
        private static let usualPaths = [
            "/dev/disk/by-*", "/dev/mapper", "/dev/dm-*", "/dev/rbd*", "/dev/nbd*", "/dev/nvme*n*", "/var/lib/nova/mnt",
        ]
    }
}
