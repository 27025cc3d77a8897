extension PivotdConfiguration {
    /// libvirt and what lies under the volumes.
    package struct Hypervisor: Sendable {
        /// A libvirt URI, or `dry-run:`.
        package var libvirtURI: String
        package var allowMonitorCommands: Bool
        package var connectorHelper: String?
        package var connectorTimeout: Duration
        /// Reach iSCSI volumes by QEMU's own initiator also where there is a connector helper.
        package var preferQEMUInitiator: Bool
        package var mountPointBase: String
        /// Absolute directories (all below) and globs, for paths with their symbolic links resolved.
        package var allowedPaths: [String]

        init(reader: inout ConfigurationReader) {
            reader.section = .hypervisor
            libvirtURI = reader.text("libvirt_uri", default: "qemu:///system", "libvirt's URI, or dry-run:")
            allowMonitorCommands = reader.boolean(
                "allow_monitor_commands", default: true,
                "Use QEMU monitor commands where libvirt has no call: to grow, to stay thin, to mend a pivot that libvirt lost")
            connectorHelper = reader.optionalPath(
                "connector_helper", "An executable that connects volumes which need host attach")
            connectorTimeout = reader.seconds(
                "connector_timeout_s", default: 120, 1...86_400, "Seconds that the connector helper may take")
            preferQEMUInitiator = reader.boolean(
                "prefer_qemu_initiator", default: false, reloads: true,
                "Reach iSCSI volumes by QEMU's own initiator also when there is a connector helper")
            mountPointBase = reader.path(
                "mount_point_base", default: "/var/lib/nova/mnt", reloads: true, "Where mounted shares are, as nova lays them out"
            )
            allowedPaths = reader.absolutePaths(
                "allowed_paths", default: Self.usualPaths, reloads: true,
                "Where new volumes may be: absolute directories (all below) and globs, after symbolic links are resolved")
        }

        /// Device links by udev, device mapper (what LVM's /dev/VG/LV leads to), mapped network volumes and nova's mounts.
        /// Plain disks (/dev/sd*), loop devices and other files of the host are not there: they may be the host's own.
        private static let usualPaths = [
            "/dev/disk/by-id", "/dev/disk/by-path", "/dev/disk/by-uuid", "/dev/disk/by-partuuid", "/dev/disk/by-label",
            "/dev/mapper", "/dev/dm-*", "/dev/rbd*", "/dev/nbd*", "/dev/nvme*n*", "/var/lib/nova/mnt",
        ]
    }
}
