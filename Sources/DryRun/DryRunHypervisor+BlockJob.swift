import Basics
import Synchronization
package import VolumeSwap

extension DryRunHypervisor {
    /// Starts a simulated copy, as `virDomainBlockRebase` does on a transient domain.
    package func blockRebase(_ domain: DomainIdentity, disk: String, _ copy: RebaseCopy) async throws(HypervisorError) {
        let location: VolumeLocation = copy.isBlockDevice ? .block(copy.path) : .file(copy.path)
        let destination = VolumeSource(location: location, format: copy.isRaw ? "raw" : "qcow2")
        try await start(domain, disk, destination, bandwidth: copy.bandwidth, isBlockCopy: false)
    }

    /// Starts a simulated copy, as `virDomainBlockCopy` does.
    package func blockCopy(_ domain: DomainIdentity, disk: String, _ copy: BlockCopy) async throws(HypervisorError) {
        try await start(domain, disk, copy.destination, bandwidth: copy.bandwidth, isBlockCopy: true)
    }

    /// The simulated copy's progress; nil without a copy.
    package func blockJobInfo(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> BlockJobInfo? {
        try withDisk(domain, disk) { _, disk throws(HypervisorError) in
            disk.facts.copy.map {
                BlockJobInfo(type: "copy", cursor: $0.cursor(at: .now), end: $0.bytes, bandwidth: Int64($0.rate ?? 0))
            }
        }
    }

    /// Pivots to the simulated copy or cancels it; the event follows, as with ASYNC.
    package func blockJobAbort(_ domain: DomainIdentity, disk: String, pivot: Bool) async throws(HypervisorError) {
        try withDisk(domain, disk) { domain, disk throws(HypervisorError) in
            guard let copy = disk.facts.copy else { throw Self.noJob(disk.target) }
            guard copy.ending == nil else {
                throw HypervisorError(
                    .stillEnding, number: 55,
                    "Requested operation is not valid: block job on disk '\(disk.target)' is still being ended")
            }
            if pivot { try checkPivot(domain, &disk, copy) }
            disk.copy?.ending = pivot ? .pivot : .abort
        }
        // As with ASYNC: the answer first, then the end and its event.
        Task { [weak self] in self?.end(domain, disk) }
    }

    private func end(_ domain: DomainIdentity, _ disk: String) {
        let ending = try? withDisk(domain, disk) { domain, disk throws(HypervisorError) -> DryRunEnding? in
            guard let copy = disk.facts.copy, let ending = copy.ending else { return nil }
            if ending == .pivot { moveDisk(&domain, &disk, copy) }
            disk.copy = nil
            return ending
        }
        guard let ending = ending ?? nil else { return }
        post(domain, [.blockJob(disk: disk, status: ending == .pivot ? .completed : .canceled, at: .now)])
    }

    /// Limits the simulated copy; an instant copy stays instant.
    package func blockJobSetSpeed(_ domain: DomainIdentity, disk: String, bytesPerSecond: Int64) async throws(HypervisorError) {
        let copy = try withDisk(domain, disk) { _, disk throws(HypervisorError) -> DryRunCopy in
            guard disk.copy != nil else { throw Self.noJob(disk.target) }
            disk.copy?.setRate(rate(bandwidth: bytesPerSecond), at: .now)
            guard let copy = disk.facts.copy else { throw Self.noJob(disk.target) }
            return copy
        }
        arm(domain, disk, copy)
    }

    /// Succeeds on a simulated copy, which no guest outruns.
    package func makeCopySynchronous(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        try withDisk(domain, disk) { _, disk throws(HypervisorError) in
            guard disk.facts.copy != nil else { throw Self.noJob(disk.target) }
        }
    }

    /// A simulated guest that makes a request of 2 ms every 10 ms, whatever is copied.
    package func blockStatistics(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> DiskStatistics {
        try withDisk(domain, disk) { _, _ throws(HypervisorError) in
            let requests = Int64((ContinuousClock.now - Self.began) / .milliseconds(10))
            return DiskStatistics(requests: requests, nanoseconds: requests * 2_000_000)
        }
    }

    private static let began = ContinuousClock.now

    package func capacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64 {
        try withDisk(domain, disk) { _, disk throws(HypervisorError) in disk.facts.bytes }
    }

    package func mirrorCapacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64? {
        try withDisk(domain, disk) { _, disk throws(HypervisorError) in disk.facts.copy?.destinationBytes }
    }

    /// Sets the size that the simulated guest sees.
    package func grow(_ domain: DomainIdentity, disk: String, toBytes: Int64) async throws(HypervisorError) {
        try withDisk(domain, disk) { domain, disk throws(HypervisorError) in
            if let rule = rule(.grow, domain, disk) { throw Self.refusal("unable to execute QEMU command 'block_resize'", rule) }
            disk.bytes = toBytes
        }
    }

    private func start(
        _ domain: DomainIdentity, _ disk: String, _ destination: VolumeSource, bandwidth: Int64, isBlockCopy: Bool
    ) async throws(HypervisorError) {
        let number = state.withLock { $0.tick() }
        let destinationBytes = size(destination.location)
        let (copy, events) = try withDisk(domain, disk) {
            domain, disk throws(HypervisorError) -> (DryRunCopy, [HypervisorEvent]) in
            if !isBlockCopy, domain.definition != nil {
                throw HypervisorError(.operationInvalid, number: 55, "Requested operation is not valid: domain is not transient")
            }
            guard disk.facts.copy == nil else {
                throw HypervisorError(
                    .notReady, number: 83, "block copy still active: disk '\(disk.target)' already in active block job")
            }
            var copy = DryRunCopy(
                destination: destination, destinationBytes: destinationBytes, bytes: disk.facts.bytes, isBlockCopy: isBlockCopy,
                since: .now, rate: rate(bandwidth: bandwidth), number: number)
            disk.copy = copy
            if let rule = rule(.start, domain, disk) {
                disk.copy = nil
                throw Self.refusal("unable to execute QEMU command 'blockdev-mirror'", rule)
            }
            if rule(.ready, domain, disk) != nil { copy.stopsAt = disk.bytes / 10 * 9 }
            if rule(.copy, domain, disk) != nil || rule(.guest, domain, disk) != nil { copy.stopsAt = disk.bytes / 2 }
            if rule(.late, domain, disk) != nil { copy.refusals = 3 }
            disk.copy = copy
            return (copy, copy.rate == nil ? arrive(&domain, &disk, copy) : [])
        }
        if copy.rate == nil { post(domain, events) } else { arm(domain, disk, copy) }
    }

    /// What happens when a copy stops progressing.
    private func arrive(_ domain: inout DryRunDomain, _ disk: inout DryRunDisk, _ copy: DryRunCopy) -> [HypervisorEvent] {
        if rule(.guest, domain, disk) != nil {
            domain.isActive = false
            disk.copy = nil
            return [.stopped(reason: "crashed, as the dry-run's rule for 'guest' demands")]
        }
        if rule(.copy, domain, disk) != nil {
            disk.copy = nil
            return [
                .jobError(disk: disk.target, message: "No space left on device, as the dry-run's rule for 'copy' demands"),
                .blockJob(disk: disk.target, status: .failed, at: .now),
            ]
        }
        return copy.stopsAt == nil ? [.blockJob(disk: disk.facts.target, status: .ready, at: .now)] : []
    }

    /// Completes the copy when its time is up, unless something happened to it meanwhile.
    private func arm(_ domain: DomainIdentity, _ disk: String, _ copy: DryRunCopy) {
        Task { [weak self] in
            // The simulated copying itself.
            let time = copy.timeLeft(at: .now)
            if time > .zero { guard (try? await Timers.shared.sleep(for: time)) != nil else { return } }
            guard let self else { return }
            let events = try? withDisk(domain, disk) { domain, disk throws(HypervisorError) -> [HypervisorEvent] in
                guard let current = disk.facts.copy, current.ending == nil, current.number == copy.number,
                    current.since == copy.since
                else { return [] }
                return arrive(&domain, &disk, current)
            }
            post(domain, events ?? [])
        }
    }

    private func checkPivot(_ domain: DryRunDomain, _ disk: inout DryRunDisk, _ copy: DryRunCopy) throws(HypervisorError) {
        guard copy.isReady(at: .now), copy.refusals == 0 else {
            disk.copy?.refusals = max(0, copy.refusals - 1)
            throw HypervisorError(
                .notReady, number: 83, "block copy still active: disk '\(disk.target)' not ready for pivot yet")
        }
        if let rule = rule(.pivot, domain, disk) { throw Self.refusal("unable to execute QEMU command 'job-complete'", rule) }
    }

    private func moveDisk(_ domain: inout DryRunDomain, _ disk: inout DryRunDisk, _ copy: DryRunCopy) {
        disk.source = copy.destination
        switch domain.definition {
        case .disks(var disks) where copy.isBlockCopy:
            if let index = disks.firstIndex(where: { $0.facts.target == disk.facts.target }) {
                disks[index].source = copy.destination
            }
            domain.definition = .disks(disks)
        case .xml(let xml) where copy.isBlockCopy:
            if let moved = try? DomainXML.settingSource(xml, disk: disk.target, to: copy.destination) {
                domain.definition = .xml(moved)
            }
        default: break
        }
    }

    /// Bytes per second; nil copies instantly, whatever the bandwidth.
    private func rate(bandwidth: Int64) -> Double? {
        guard let rate = options.rateMiBs.map({ $0 * Double(1 << 20) }) else { return nil }
        return bandwidth > 0 ? min(rate, Double(bandwidth)) : rate
    }

    private func withDisk<Value>(
        _ identity: DomainIdentity, _ target: String,
        _ body: (inout DryRunDomain, inout DryRunDisk) throws(HypervisorError) -> Value
    ) throws(HypervisorError) -> Value {
        try with(identity) { domain throws(HypervisorError) in
            try running(domain)
            guard let index = domain.index(target) else {
                throw HypervisorError(.other, number: 8, "invalid argument: disk '\(target)' not found in domain")
            }
            // Moved out, not copied.
            var disk = domain.disks.remove(at: index)
            defer { domain.disks.insert(disk, at: index) }
            return try body(&domain, &disk)
        }
    }

    private func post(_ domain: DomainIdentity, _ events: [HypervisorEvent]) {
        guard !events.isEmpty else { return }
        let subscribers = state.withLock { $0.subscribers[domain.uuid] ?? [] }
        for subscriber in subscribers {
            for event in events { subscriber.post(event) }
        }
    }

    private static func noJob(_ disk: String) -> HypervisorError {
        HypervisorError(.other, number: 8, "invalid argument: disk \(disk) does not have an active block job")
    }
}
