import ArgumentParser

/// Flags of libvirt and of what lies under the volumes.
struct HypervisorOptions: ParsableArguments {
    @Option(key: "libvirt_uri") var libvirtURI: String?
    @Option(key: "allow_monitor_commands") var allowMonitorCommands: String?
    @Option(key: "connector_helper") var connectorHelper: String?
    @Option(key: "connector_timeout_s") var connectorTimeoutS: String?
    @Option(key: "prefer_qemu_initiator") var preferQEMUInitiator: String?
    @Option(key: "mount_point_base") var mountPointBase: String?
    @Option(key: "allowed_paths") var allowedPaths: String?

    /// What is given, by the names of the keys.
    var values: [String: String?] {
        [
            "libvirt_uri": libvirtURI,
            "allow_monitor_commands": allowMonitorCommands,
            "connector_helper": connectorHelper,
            "connector_timeout_s": connectorTimeoutS,
            "prefer_qemu_initiator": preferQEMUInitiator,
            "mount_point_base": mountPointBase,
            "allowed_paths": allowedPaths,
        ]
    }
}
