/// What was found out about a swap before it starts; with the phase, all that recovery needs.
///
/// Holds the domain's saved configuration, secrets included: it is printed as its outline only.
package typealias SwapPlan = Shared<SwapPlanFacts>

/// What a ``SwapPlan`` says.
package struct SwapPlanFacts: Sendable, Hashable, Codable, CustomStringConvertible, CustomReflectable {
    package var domain: DomainIdentity
    package var disk: String
    package var strategy: SwapStrategy
    /// The disk's source before the swap, as the live configuration shows it.
    package var oldLocation: VolumeLocation
    package var destination: VolumeSource
    /// The size the guest sees before the swap, bytes.
    package var oldBytes: Int64
    /// The size that the new volume offers a guest, bytes; nil where only QEMU knows it (network and qcow2 volumes).
    package var newBytes: Int64?
    /// Bytes of the new volume before those of the guest: its LUKS header.
    package var headerBytes: Int64?
    /// The size to grow to after the pivot, bytes.
    package var resizeToBytes: Int64?
    /// True when QEMU must be shown only the first `oldBytes` of a larger volume.
    package var usesSlice: Bool
    package var wasPersistent: Bool
    /// The persistent configuration before the swap, with its secrets; nil for a transient domain.
    package var savedXML: String?
    package var isNewConnected: Bool
    /// The UUID of a libvirt secret that pivotd made for the new volume.
    package var madeSecret: String?
    package var options: SwapOptions
    /// Everything of the disk that must be the same afterwards.
    package var keptElements: [String]
    package var attempts: Int
    /// Why the swap is being rolled back.
    package var failure: SwapFailure?
    /// True in a roll-back after a pivot was asked for: it is answered only when a look has shown the old volume.
    package var mayHavePivoted: Bool?
    /// Set once the disk is mirrored back after libvirt had lost track of a pivot, true once it is back: a stored configuration that names
    /// the new volume then says nothing about where the guest wrote last.
    package var isMirroredBack: Bool?
    /// Whether the guest was given the size that was asked for; nil as long as that was not tried.
    package var resized: Bool?
    /// The size that the guest sees after it was to be resized, bytes.
    package var capacityBytes: Int64?
    /// Whether the domain starts with the host: undefining it forgets that.
    package var isAutostarted: Bool?
    /// True once the definition that pivotd took away is given back, or where it never was taken.
    package var isDefinedAgain: Bool?
    /// The disks and interfaces of the running domain before it was undefined: what comes or goes meanwhile is told by them.
    package var liveDevices: [String]?
    package var warnings: [String]

    /// Whether pivotd takes the domain's definition away for the copy, and so is the one to bring it back.
    package var isUndefined: Bool { strategy == .rebase && wasPersistent }

    /// The window of the new volume that QEMU is shown, bytes.
    package var sliceBytes: Int64? { usesSlice ? (headerBytes ?? 0) + oldBytes : nil }

    package var description: String {
        "\(disk) of \(domain.name): \(oldLocation) to \(destination.location) by \(strategy.rawValue)"
    }
    package var customMirror: Mirror { Mirror(self, children: ["plan": description]) }
}
