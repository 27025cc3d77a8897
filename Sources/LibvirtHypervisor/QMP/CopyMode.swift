import JSON

/// Commands that change how a running copy treats the guest's writes.
enum CopyMode {
    /// Whether QEMU can change a running copy.
    ///
    /// - Parameter commands: The answer to `query-commands`.
    static func canChange(_ commands: JSONValue) -> Bool {
        QMPCommand.isKnown("block-job-change", in: commands)
    }

    /// Has the guest's writes go to both volumes of libvirt's copy of a disk.
    ///
    /// - Parameter jobs: The answer to `query-jobs`.
    /// - Returns: nil if there is no such copy, or it has ended.
    static func writeBlocking(disk: String, _ jobs: JSONValue) -> QMPCommand? {
        let job = jobs.arrayValue?.first { $0["id"]?.stringValue?.hasPrefix("copy-\(disk)-") == true }
        guard let id = job?["id"], ["running", "ready", "paused", "standby"].contains(job?["status"]?.stringValue) else {
            return nil
        }
        return QMPCommand("block-job-change", ["id": id, "type": "mirror", "copy-mode": "write-blocking"])
    }
}
