/// What the preflight found out about a swap; together with the phase, all that recovery needs.
///
/// Holds the domain's saved configuration with its secrets, so it prints only as an outline.
package typealias SwapPlan = Shared<SwapPlanFacts>

/// The contents of a ``SwapPlan``.
package struct SwapPlanFacts: Sendable, Hashable, Codable, CustomStringConvertible, CustomReflectable {
    /// The domain that has the disk.
    package var domain: DomainIdentity
    /// The disk's target, such as `vdb`.
    package var disk: String
    /// How the copy is done, with `auto` resolved.
    package var strategy: SwapStrategy
    /// The disk's source before the swap, as the live configuration shows it.
    package var oldLocation: VolumeLocation
    /// The new volume.
    package var destination: VolumeSource
    /// The size in bytes that the guest sees before the swap.
    package var oldBytes: Int64
    /// The size in bytes that the new volume offers a guest; nil if only QEMU knows it (network volumes).
    package var newBytes: Int64?
    /// Size in bytes of the new volume's LUKS header, which precedes the guest's data.
    package var headerBytes: Int64?
    /// The size in bytes to grow to after the pivot.
    package var resizeToBytes: Int64?
    /// Whether QEMU must be shown only the first `oldBytes` of a larger volume.
    package var usesSlice: Bool
    /// Whether the domain had a stored configuration before the swap.
    package var wasPersistent: Bool
    /// The persistent configuration before the swap, with its secrets; nil for a transient domain.
    package var savedXML: String?
    /// Whether the connector attached the new volume for this swap.
    package var isNewConnected: Bool
    /// The UUID of the libvirt secret that pivotd made for the new volume.
    package var madeSecret: String?
    /// The request's options, with the worker's defaults filled in.
    package var options: SwapOptions
    /// The elements of the disk that must not change.
    package var keptElements: [String]
    /// Number of times the copy was started.
    package var attempts: Int
    /// The guest's mean request time before the copy in milliseconds; nil if it is not needed, or the guest had no requests.
    package var guestLatency: Double?
    /// What was done about a copy that did not converge; nil if nothing was. At most once for each task.
    package var convergence: ConvergenceStep?
    /// Why the swap is being rolled back.
    package var failure: SwapFailure?
    /// Set in a roll-back after a pivot was requested: the caller is answered only once an inspection has shown the old volume.
    package var mayHavePivoted: Bool?
    /// The guest's life in which a pivot was requested whose result is not known; nil before, and if it cannot be told from others.
    package var pivotLife: String?
    /// Set while the disk is mirrored back after libvirt lost track of a pivot, and true once it is back. From then on, a stored
    /// configuration that names the new volume does not show where the guest last wrote.
    package var isMirroredBack: Bool?
    /// Whether the guest got the requested size; nil until that was tried.
    package var resized: Bool?
    /// The size in bytes that the guest sees after the resize was tried.
    package var capacityBytes: Int64?
    /// Whether the domain starts with the host, which undefining it would forget.
    package var isAutostarted: Bool?
    /// True once the definition that pivotd removed is restored, or if it was never removed.
    package var isDefinedAgain: Bool?
    /// The running domain's devices and sizes before it was undefined, for detecting later hot-plugs and unplugs.
    package var liveDevices: [String]?
    /// True once a held swap has been told to pivot by itself.
    package var isReleased: Bool?
    /// The group that the swap is about to pivot with; nil once that is over.
    package var pivotGroup: PivotGroupMark?
    /// Warnings for the result.
    package var warnings: [String]

    /// Whether pivotd undefines the domain for the copy, and so has to define it again.
    package var isUndefined: Bool { strategy == .rebase && wasPersistent }

    /// Whether the guest's writes go to both volumes while they are copied.
    package var isSynchronous: Bool { options.synchronousWrites || convergence == .changed }

    /// Whether something may still be done if the copy does not converge.
    package var mayConverge: Bool { options.convergence == .auto && !options.synchronousWrites && convergence == nil }

    /// Whether only QEMU can read the new volume's LUKS header, as over the network: where a window would have to end is not known.
    package var isSealed: Bool { destination.encryption != nil && headerBytes == nil && !destination.location.isOther }

    /// Size in bytes of the window of the new volume that QEMU is shown.
    package var sliceBytes: Int64? { usesSlice ? (headerBytes ?? 0) + oldBytes : nil }

    package var description: String {
        "\(disk) of \(domain.name): \(oldLocation) to \(destination.location) by \(strategy.rawValue)"
    }
    package var customMirror: Mirror { Mirror(self, children: ["plan": description]) }
}
