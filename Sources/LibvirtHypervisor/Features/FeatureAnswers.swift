import JSON
import Libvirt
import VolumeSwap

/// How the answers of libvirt and QEMU are read; a feature about which they say nothing is left out.
enum FeatureAnswers {
    /// - Parameter flags: What ``LibvirtConnection/knownFlags()`` returned.
    static func libvirt(_ flags: [LibvirtFlag: Bool]) -> [HypervisorFeature: Bool] {
        flags.reduce(into: [:]) { supported, flag in
            let feature: HypervisorFeature =
                switch flag.key {
                case .copyTransientJob: .transientJob
                case .copySynchronousWrites: .synchronousWrites
                case .undefineKeepTPM: .keepTPM
                }
            supported[feature] = flag.value
        }
    }

    /// - Parameters:
    ///   - commands: The answer to `query-commands`.
    ///   - schema: The answer to `query-qmp-schema`.
    ///   - version: The answer to `query-version`.
    static func qemu(commands: JSONValue, schema: JSONValue, version: JSONValue) -> [HypervisorFeature: Bool] {
        [
            .blockdevReopen: QMPCommand.isKnown("blockdev-reopen", in: commands),
            .blockJobChange: CopyMode.canChange(commands),
            .writeBlocking: CopyMode.isSafe(version),
            .targetIsZero: QMPSchema(schema).has("target-is-zero", in: "blockdev-mirror"),
        ]
    }

    /// pivotd cannot tell QEMU anything itself, whatever QEMU is able to do.
    static let withoutMonitor: [HypervisorFeature: Bool] = [.blockdevReopen: false, .blockJobChange: false]
}
