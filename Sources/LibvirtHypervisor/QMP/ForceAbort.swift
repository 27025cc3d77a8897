import JSON

/// Commands that end a copy that libvirt cannot end.
enum ForceAbort {
    /// Breaks the connection to an nbd volume.
    ///
    /// - Parameter instances: The answer to `query-yank`.
    /// - Returns: nil if volume `libvirt-INDEX` has no connection that QEMU could break.
    static func yanking(volume index: String, _ instances: JSONValue) -> QMPCommand? {
        let destination = instances.arrayValue?.first { $0["node-name"]?.stringValue == "libvirt-\(index)-storage" }
        return destination.map { QMPCommand("yank", ["instances": [$0]]) }
    }

    /// Force-cancels libvirt's copy of a disk.
    ///
    /// - Parameter jobs: The answer to `query-jobs`.
    /// - Returns: nil if there is no copy, or it has ended and libvirt only has to notice.
    static func cancelling(disk: String, _ jobs: JSONValue) -> QMPCommand? {
        let ended = ["concluded", "aborting", "null"]
        let job = jobs.arrayValue?.first { $0["id"]?.stringValue?.hasPrefix("copy-\(disk)-") == true }
        guard let id = job?["id"], let status = job?["status"]?.stringValue, !ended.contains(status) else { return nil }
        return QMPCommand("block-job-cancel", ["device": id, "force": true])
    }
}
