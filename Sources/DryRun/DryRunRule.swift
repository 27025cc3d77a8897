import Basics
package import Settings
import VolumeSwap

/// The step of a swap that a rule makes fail, in the way libvirt and QEMU would.
package enum DryRunStep: String, Sendable, CaseIterable {
    /// libvirt knows no such domain.
    case lookup
    /// The domain is not running.
    case off
    case undefine
    /// QEMU refuses to begin the copy.
    case start
    /// The copy fails half-way because the new volume is full.
    case copy
    /// The mirror never gets in sync.
    case ready
    /// The guest crashes half-way.
    case guest
    /// The pivot is called too early (error 83) three times, then works.
    case late
    case pivot
    case grow
    case define
}

/// A failure to rehearse: `instance:UUID,disk:vdb,volume:ID,share:0.1,STEP`, with at least one of these parts.
///
/// All conditions must hold. `volume` is an id, a path or a part of one, of the old or the new volume. `share` picks that
/// fraction of all disks, always the same ones. Without a step the copy fails.
package struct DryRunRule: Sendable, Equatable {
    /// The step that fails.
    package var step = DryRunStep.copy
    /// A UUID or a name, in lower case.
    package var instance: String?
    /// The target, such as `vdb`.
    package var disk: String?
    /// An id, a path, or a part of one.
    package var volume: String?
    /// From 0 to 1.
    package var share: Double?

    /// - Throws: ``ConfigurationError`` with the problem and what is allowed.
    package init(parsing text: String) throws(ConfigurationError) {
        let parts = text.split(separator: ",")
        guard !parts.isEmpty else { throw ConfigurationError(problems: ["is empty; give instance:UUID or a step"]) }
        for part in parts {
            let pair = part.split(separator: ":", maxSplits: 1).map { String($0) }
            guard pair.count == 2 else {
                guard let step = DryRunStep(rawValue: String(part)) else {
                    let steps = DryRunStep.allCases.map(\.rawValue).joined(separator: ", ")
                    throw ConfigurationError(problems: ["'\(part)' is not a step; steps are \(steps)"])
                }
                self.step = step
                continue
            }
            switch pair[0] {
            case "instance": instance = pair[1].lowercased()
            case "disk": disk = SwapRequest.diskName(pair[1])
            case "volume": volume = pair[1]
            case "share":
                guard let share = Double(pair[1]), (0...1).contains(share) else {
                    throw ConfigurationError(problems: ["'\(part)': a share is a number from 0 to 1"])
                }
                self.share = share
            default:
                throw ConfigurationError(problems: ["'\(part)': conditions are instance, disk, volume, share"])
            }
        }
    }

    func matches(_ domain: DryRunDomain, _ disk: DryRunDisk) -> Bool {
        if let instance, instance != domain.identity.uuid, instance != domain.identity.name.lowercased() { return false }
        if let wanted = self.disk, wanted != disk.target { return false }
        if let volume, !disk.names.contains(where: { $0.contains(volume) }) { return false }
        guard let share else { return true }
        return Self.position(domain.identity.uuid, disk.target) < share
    }

    /// A number from 0 to 1 that is always the same for a disk.
    private static func position(_ uuid: String, _ disk: String) -> Double {
        Double(FNV1a.hash64(uuid + disk) >> 11) / Double(UInt64(1) << 53)
    }
}
