import JSON
import VolumeSwap

/// Commands that change how a running copy treats the guest's writes.
enum CopyMode {
    /// Whether QEMU can change a running copy.
    ///
    /// - Parameter commands: The answer to `query-commands`.
    static func canChange(_ commands: JSONValue) -> Bool {
        QMPCommand.isKnown("block-job-change", in: commands)
    }

    /// Whether QEMU survives a copy whose guest's writes go to both volumes.
    ///
    /// - Parameter version: The answer to `query-version`.
    static func isSafe(_ version: JSONValue) -> Bool {
        let numbers = ["major", "minor", "micro"].compactMap { version["qemu"]?[$0]?.integerValue }
        guard numbers.count == 3, numbers.allSatisfy({ (0..<1000).contains($0) }) else { return false }
        return HypervisorFeature.writeBlocking.isIn(numbers.reduce(0) { $0 * 1000 + UInt($1) })
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
