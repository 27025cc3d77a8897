extension PivotdConfiguration {
    /// The keys that a running worker takes anew; all others need a restart.
    static let reloadable: Set = [
        "log_level", "allowed_paths", "mount_point_base", "prefer_qemu_initiator", "max_concurrent_swaps", "drain_timeout_s",
        "store_retry_s", "bandwidth_mib_s", "granularity_kib", "buffer_mib", "synchronous_writes", "detect_zeroes", "timeout_s",
        "stall_timeout_s",
    ]

    /// What another configuration changes.
    package struct Change: Sendable, Equatable {
        /// `key=value` of what can be taken while the worker runs.
        package var taken: [String] = []
        /// Keys whose new values wait for a restart.
        package var left: [String] = []
    }

    /// Takes what can be taken of a configuration that was read later.
    package mutating func adopt(_ new: PivotdConfiguration) -> Change {
        var change = Change()
        for key in Self.keys.map(\.name) where isChanged(key, in: new) {
            guard Self.reloadable.contains(key) else {
                change.left.append(key)
                continue
            }
            change.taken.append("\(key)=\(new.values[key]?.reveal() ?? "")")
            values[key] = new.values[key]
        }
        swap = new.swap
        hypervisor.allowedPaths = new.hypervisor.allowedPaths
        hypervisor.mountPointBase = new.hypervisor.mountPointBase
        hypervisor.preferQEMUInitiator = new.hypervisor.preferQEMUInitiator
        daemon.logLevel = new.daemon.logLevel
        daemon.maxConcurrentSwaps = new.daemon.maxConcurrentSwaps
        daemon.drainTimeout = new.daemon.drainTimeout
        daemon.storeRetry = new.daemon.storeRetry
        return change
    }

    /// The URL may have been read from a file of the same name.
    private func isChanged(_ key: String, in new: PivotdConfiguration) -> Bool {
        key == "transport_url" ? bus.transportURL != new.bus.transportURL : values[key] != new.values[key]
    }
}
