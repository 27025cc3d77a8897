@testable import VolumeSwap

extension SimHypervisor {
    func blockRebase(_ identity: DomainIdentity, disk: String, _ copy: RebaseCopy) async throws(HypervisorError) {
        let location: VolumeLocation = copy.isBlockDevice ? .block(copy.path) : .file(copy.path)
        let destination = SimConfiguration.Disk(
            target: disk, location: location, format: copy.isRaw ? "raw" : "qcow2", serial: "")
        try await start(identity, destination, slice: nil, isRebase: true)
    }

    func blockCopy(_ identity: DomainIdentity, disk: String, _ copy: BlockCopy) async throws(HypervisorError) {
        let destination = SimConfiguration.Disk(
            target: disk, location: copy.destination.location, format: copy.destination.format, serial: "",
            secret: copy.destination.auth?.secret.uuid, hasSlice: copy.sliceBytes != nil)
        try await start(
            identity, destination, slice: copy.sliceBytes, isRebase: false, isSynchronous: copy.synchronousWrites)
    }

    private func start(
        _ identity: DomainIdentity, _ destination: SimConfiguration.Disk, slice: Int64?, isRebase: Bool,
        isSynchronous: Bool = false
    ) async throws(HypervisorError) {
        let domain = try domain(identity)
        let volume = world.volume(at: destination.location)
        try await call(isRebase ? "blockRebase" : "blockCopy", domain, .monitor, isWrite: true) {
            volume?.isHung ?? false
        } _: { [libvirt] () throws(HypervisorError) in
            try libvirt.startCopy(
                domain, destination, slice: slice, isRebase: isRebase, isSynchronous: isSynchronous, by: "pivotd")
        }
    }

    func blockJobInfo(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) -> BlockJobInfo? {
        let domain = try domain(identity)
        return try await call("blockJobInfo", domain, .monitor, ifDead: .some(nil)) { [libvirt] () throws(HypervisorError) in
            try libvirt.jobInfo(domain, disk)
        }
    }

    func blockJobAbort(_ identity: DomainIdentity, disk: String, pivot: Bool) async throws(HypervisorError) {
        let domain = try domain(identity)
        if pivot, !libvirt.isConnected { throw HypervisorError(.connectionLost, "there is no connection to libvirt") }
        try await call(pivot ? "pivot" : "abort", domain, .monitor, isWrite: true) {
            pivot && domain.qemu?.hasStuckWrites(disk) == true
        } _: { [libvirt] () throws(HypervisorError) in
            try libvirt.abort(domain, disk, pivot: pivot, by: "pivotd")
        }
    }

    func forceAbort(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) {
        guard world.allowsMonitorCommands else { throw HypervisorError(.unsupported, "allow_monitor_commands is false") }
        let domain = try domain(identity)
        try await call("force", domain, .monitor, isWrite: true) { [libvirt] () throws(HypervisorError) in
            try libvirt.forceAbort(domain, disk)
        }
    }

    func blockJobSetSpeed(_ identity: DomainIdentity, disk: String, bytesPerSecond: Int64) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("set speed", domain, .monitor, isWrite: true) { [libvirt] () throws(HypervisorError) in
            guard try libvirt.jobInfo(domain, disk) != nil else {
                throw HypervisorError(.operationInvalid, number: 55, "no active block job on disk '\(disk)'")
            }
        }
    }

    func makeCopySynchronous(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) {
        guard world.allowsMonitorCommands else { throw HypervisorError(.unsupported, "allow_monitor_commands is false") }
        let domain = try domain(identity)
        try await call("block-job-change", domain, .monitor, isWrite: true) { [libvirt] () throws(HypervisorError) in
            try libvirt.makeCopySynchronous(domain, disk)
        }
    }

    func blockStatistics(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) -> DiskStatistics {
        let domain = try domain(identity)
        return try await call("blockStats", domain, .monitor) { [world] in
            let requests = Int64(world.loop.now / (20 * .millisecond))
            return DiskStatistics(requests: requests, nanoseconds: requests * 5_000_000)
        }
    }

    func capacity(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64 {
        let domain = try domain(identity)
        return try await call("blockInfo", domain, .monitor) { [libvirt] () throws(HypervisorError) in
            try libvirt.capacity(domain, disk)
        }
    }

    func mirrorCapacity(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64? {
        let domain = try domain(identity)
        return try await call("query-block", domain, .monitor) { domain.qemu?.jobs[disk]?.target.bytes }
    }

    func grow(_ identity: DomainIdentity, disk: String, toBytes: Int64) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("grow", domain, .monitor, isWrite: true) { [libvirt] () throws(HypervisorError) in
            try libvirt.grow(domain, disk, toBytes: toBytes)
        }
    }

    func hasPivotedUnnoticed(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool? {
        guard world.allowsMonitorCommands else { return nil }
        let domain = try domain(identity)
        let body = { [libvirt] () throws(HypervisorError) in try libvirt.hasPivotedUnnoticed(domain, disk) }
        guard try await call("query-block", domain, .monitor, body), world.mutation != .unnoticedPivotDenied else { return false }
        // Twice, a second apart: libvirt may be about to record a pivot's end.
        await withUnsafeContinuation { continuation in _ = world.loop.after(1 * .second) { continuation.resume() } }
        return try await call("query-block", domain, .monitor, body)
    }

    func mirrorBack(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("bring back", domain, .monitor, isWrite: true) { [libvirt] () throws(HypervisorError) in
            try libvirt.mirrorBack(domain, disk)
        }
    }

    func growSupport(of domain: DomainIdentity) async throws(HypervisorError) -> GrowSupport { .supported }
    func keepsTPMState() async throws(HypervisorError) -> Bool { true }

    func subscribe(_ events: HypervisorEvents, to identity: DomainIdentity) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("subscribe", domain, .nothing) { [libvirt, life] in
            if events.take() { libvirt.subscribe(events, domain, life) }
        }
    }
}
