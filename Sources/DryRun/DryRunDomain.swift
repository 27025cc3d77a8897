import VolumeSwap

/// How a copy is being ended.
enum DryRunEnding: String, Sendable {
    case pivot, abort
}

/// A simulated copy of a disk onto a new volume.
struct DryRunCopy: Sendable {
    var destination: VolumeSource
    /// The full size of the new volume in bytes.
    var destinationBytes: Int64
    var bytes: Int64
    /// True for `virDomainBlockCopy`, after which libvirt also updates the stored configuration.
    var isBlockCopy: Bool
    /// Bytes already copied when the rate was last set.
    var base: Int64 = 0
    var since: ContinuousClock.Instant
    /// Bytes per second; nil copies instantly.
    var rate: Double?
    /// Bytes after which a rule stops it for good.
    var stopsAt: Int64?
    var refusals = 0
    /// The requested end, as libvirt shows it in `<mirror ready=…>`.
    var ending: DryRunEnding?
    /// Distinguishes this copy from later ones of the same disk.
    var number: UInt64

    func cursor(at now: ContinuousClock.Instant) -> Int64 {
        let limit = stopsAt ?? bytes
        guard let rate else { return limit }
        let moved = rate * ((now - since) / .seconds(1))
        return moved >= Double(limit - base) ? limit : base + Int64(max(0, moved))
    }

    func isReady(at now: ContinuousClock.Instant) -> Bool { cursor(at: now) >= bytes }

    /// `<mirror ready=…>`
    func shownReady(at now: ContinuousClock.Instant) -> String? { ending?.rawValue ?? (isReady(at: now) ? "yes" : nil) }

    /// The time until the copy stops progressing.
    func timeLeft(at now: ContinuousClock.Instant) -> Duration {
        guard let rate else { return .zero }
        return .seconds(Double((stopsAt ?? bytes) - cursor(at: now)) / rate)
    }

    mutating func setRate(_ rate: Double?, at now: ContinuousClock.Instant) {
        base = cursor(at: now)
        since = now
        self.rate = rate
    }
}

typealias DryRunDisk = Shared<DryRunDiskFacts>

/// The properties of a ``DryRunDisk``.
struct DryRunDiskFacts: Sendable {
    var target: String
    var source: VolumeSource
    /// The size that the guest sees.
    var bytes: Int64
    var serial: String?
    /// Ids of the volumes that requests have named for it.
    var volumeIDs: [String] = []
    var copy: DryRunCopy?
    /// Cached, because the disk is described again and again.
    var keptElements: [String]?

    /// All names by which a rule may refer to its volumes.
    var names: [String] {
        volumeIDs + [source.location.description, serial, copy?.destination.location.description].compactMap { $0 }
    }
}

/// A domain's stored configuration.
enum DryRunDefinition: Sendable {
    /// As it was created.
    case disks([DryRunDisk])
    /// As it was defined.
    case xml(String)
}

/// A simulated domain.
struct DryRunDomain: Sendable {
    var identity: DomainIdentity
    var disks: [DryRunDisk]
    /// nil for a transient domain.
    var definition: DryRunDefinition?
    var isActive = true
    var isPaused = false
    var metadata: String?
    var lastUse: UInt64 = 0

    var isBusy: Bool { isPaused || disks.contains { $0.facts.copy != nil } || (definition == nil && metadata != nil) }

    func index(_ target: String) -> Int? { disks.firstIndex { $0.facts.target == target } }
}
