import JSON

/// What ends a copy that libvirt cannot end.
enum ForceAbort {
    /// Breaks the connection to an nbd volume.
    ///
    /// - Parameter instances: the answer to `query-yank`.
    /// - Returns: nil when volume `libvirt-INDEX` has no connection that QEMU could break.
    static func yanking(volume index: String, _ instances: JSONValue) -> QMPCommand? {
        let destination = instances.arrayValue?.first { $0["node-name"]?.stringValue == "libvirt-\(index)-storage" }
        return destination.map { QMPCommand("yank", ["instances": [$0]]) }
    }

    /// Cancels libvirt's copy of a disk with force.
    ///
    /// - Parameter jobs: the answer to `query-jobs`.
    /// - Returns: nil when there is no copy, or it has ended and libvirt only has to take note.
    static func cancelling(disk: String, _ jobs: JSONValue) -> QMPCommand? {
        let ended = ["concluded", "aborting", "null"]
        let job = jobs.arrayValue?.first { $0["id"]?.stringValue?.hasPrefix("copy-\(disk)-") == true }
        guard let id = job?["id"], let status = job?["status"]?.stringValue, !ended.contains(status) else { return nil }
        return QMPCommand("block-job-cancel", ["device": id, "force": true])
    }
}
