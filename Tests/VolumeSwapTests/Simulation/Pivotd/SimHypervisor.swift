import Foundation

@testable import VolumeSwap

/// The hypervisor as one incarnation of pivotd sees it.
///
/// A call waits for the connection, travels, is carried out by ``SimLibvirt`` and answered. A read that loses the connection is made
/// again; a write throws `connectionLost`, done or not; one that is out too long is given up as `busy`, and may be carried out later.
final class SimHypervisor: Hypervisor, @unchecked Sendable {
    let kind = "simulated"
    private unowned let world: SimWorld
    private let life: SimLife
    private var libvirt: SimLibvirt { world.libvirt }

    init(_ world: SimWorld, _ life: SimLife) {
        self.world = world
        self.life = life
    }

    private static let dead = HypervisorError(.other, "this pivotd is dead")

    private func live() async throws(HypervisorError) {
        if life.pass() { return }
        await life.rest()
        throw Self.dead
    }

    private func call<Value>(
        _ name: String, _ domain: SimDomain?, _ need: SimCall.Need, isWrite: Bool = false,
        isBlocked: @escaping () -> Bool = { false }, ifDead: Value? = nil, _ body: @escaping () throws(HypervisorError) -> Value
    ) async throws(HypervisorError) -> Value {
        try await live()
        while true {
            await libvirt.waitUntilConnected()
            guard life.isAlive, !Task.isCancelled else { throw Self.dead }
            var value: Value?
            let call = SimCall(name, domain, need, isBlocked: isBlocked) {
                do throws(HypervisorError) {
                    value = try body()
                    return nil
                } catch {
                    return error
                }
            }
            if let ifDead {
                call.ifDead = {
                    value = ifDead
                    return nil
                }
            }
            if world.mutation == .synchronousAbort, name == "pivot" || name == "abort", let domain {
                call.holdsOn = { domain.live?.disks.contains { $0.mirror?.ready == "pivot" || $0.mirror?.ready == "abort" } ?? false }
                call.afterwards = {
                    domain.live == nil ? HypervisorError(.operationInvalid, number: 55, "domain is no longer running") : nil
                }
            }
            let connection = libvirt.epoch
            libvirt.send(call)
            await libvirt.wait(for: call, atMost: need == .nothing ? nil : world.callLimit)
            try await live()
            if call.isAnswered {
                if let error = call.error { throw error }
                if let value { return value }
            }
            if connection == libvirt.epoch {
                world.note("pivotd", "gives up waiting for \(name) of \(domain?.name ?? "")")
                throw HypervisorError(.busy, "\(name) has been out for long: \(domain?.name ?? "the domain") does not answer")
            }
            if isWrite { throw HypervisorError(.connectionLost, number: 38, "the connection to libvirt was lost during \(name)") }
        }
    }

    private func domain(_ identity: DomainIdentity) throws(HypervisorError) -> SimDomain {
        guard let domain = world.domains.first(where: { $0.identity.uuid == identity.uuid }) else {
            throw HypervisorError(.noDomain, number: 42, "Domain not found")
        }
        return domain
    }

    func waitUntilConnected() async { if life.isAlive { await libvirt.waitUntilConnected() } }

    // MARK: Domains

    func lookup(_ instance: InstanceReference) async throws(HypervisorError) -> DomainIdentity {
        try await call("lookup", nil, .nothing) { [world] () throws(HypervisorError) in
            let found = world.domains.first { $0.isKnown && ($0.identity.uuid == instance.uuid || $0.name == instance.name) }
            guard let found else { throw HypervisorError(.noDomain, number: 42, "Domain not found") }
            return found.identity
        }
    }

    func status(_ identity: DomainIdentity) async throws(HypervisorError) -> DomainStatus {
        let domain = try domain(identity)
        return try await call("status", domain, .nothing) { [libvirt] () throws(HypervisorError) in try libvirt.status(domain) }
    }

    func xml(_ identity: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> String {
        let domain = try domain(identity)
        return try await call("XML", domain, .nothing) { [libvirt] () throws(HypervisorError) in
            try libvirt.configuration(domain, view).tree(domain.identity).xml
        }
    }

    func description(_ identity: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> DomainDescription {
        let domain = try domain(identity)
        return try await call("XML", domain, .nothing) { [libvirt] () throws(HypervisorError) in
            try libvirt.configuration(domain, view).description(domain.identity, isLive: true)
        }
    }

    func domains() async throws(HypervisorError) -> [DomainDescription] {
        try await call("domains", nil, .nothing) { [world] in
            world.domains.flatMap { domain -> [DomainDescription] in
                let running = domain.live.map { $0.description(domain.identity, isLive: true) }
                let isHidden = world.mutation == .stoppedDomainsHidden && domain.live == nil
                let stored = isHidden ? nil : domain.stored?.description(domain.identity, isLive: false)
                return [running, stored].compactMap { $0 }
            }
        }
    }

    func define(xml: String) async throws(HypervisorError) {
        guard let tree = try? XMLTree(parsing: xml), let configuration = SimConfiguration(defining: tree),
            let uuid = tree.first("uuid")?.text
        else { throw HypervisorError(.other, number: 27, "XML error: not a domain") }
        let domain = try domain(DomainIdentity(uuid: uuid, name: ""))
        try await call("define", domain, .nothing, isWrite: true) { [libvirt] () throws(HypervisorError) in
            try libvirt.define(domain, configuration, by: "pivotd")
        }
    }

    func undefine(_ identity: DomainIdentity) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("undefine", domain, .lock, isWrite: true) { [libvirt] () throws(HypervisorError) in
            try libvirt.undefine(domain, by: "pivotd")
        }
    }

    func isAutostarted(_ identity: DomainIdentity) async throws(HypervisorError) -> Bool {
        let domain = try domain(identity)
        return try await call("autostart", domain, .nothing) { domain.isAutostarted }
    }

    func setAutostart(_ identity: DomainIdentity) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("set autostart", domain, .lock, isWrite: true) { () throws(HypervisorError) in
            guard domain.stored != nil else {
                throw HypervisorError(.operationInvalid, number: 55, "cannot set autostart for transient domain")
            }
            domain.isAutostarted = true
        }
    }

    func setRecoveryMetadata(_ identity: DomainIdentity, _ element: String?) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("set metadata", domain, .lock, isWrite: true) { [libvirt] () throws(HypervisorError) in
            try libvirt.setMetadata(domain, element)
        }
    }

    func recoveryMetadata(_ identity: DomainIdentity) async throws(HypervisorError) -> String? {
        let domain = try domain(identity)
        return try await call("metadata", domain, .nothing) { domain.metadata }
    }

    // MARK: Block jobs

    func blockRebase(_ identity: DomainIdentity, disk: String, _ copy: RebaseCopy) async throws(HypervisorError) {
        let location: VolumeLocation = copy.isBlockDevice ? .block(copy.path) : .file(copy.path)
        let destination = SimConfiguration.Disk(target: disk, location: location, format: copy.isRaw ? "raw" : "qcow2", serial: "")
        try await start(identity, destination, slice: nil, isRebase: true)
    }

    func blockCopy(_ identity: DomainIdentity, disk: String, _ copy: BlockCopy) async throws(HypervisorError) {
        let destination = SimConfiguration.Disk(
            target: disk, location: copy.destination.location, format: copy.destination.format, serial: "",
            secret: copy.destination.auth?.secret.uuid, hasSlice: copy.sliceBytes != nil)
        try await start(identity, destination, slice: copy.sliceBytes, isRebase: false)
    }

    private func start(
        _ identity: DomainIdentity, _ destination: SimConfiguration.Disk, slice: Int64?, isRebase: Bool
    ) async throws(HypervisorError) {
        let domain = try domain(identity)
        let volume = world.volume(at: destination.location)
        try await call(isRebase ? "blockRebase" : "blockCopy", domain, .monitor, isWrite: true) {
            volume?.isHung ?? false
        } _: { [libvirt] () throws(HypervisorError) in
            try libvirt.startCopy(domain, destination, slice: slice, isRebase: isRebase, by: "pivotd")
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
        try await call(pivot ? "pivot" : "abort", domain, .monitor, isWrite: true) {
            pivot && domain.qemu?.hasStuckWrites(disk) == true
        } _: { [libvirt] () throws(HypervisorError) in
            try libvirt.abort(domain, disk, pivot: pivot, by: "pivotd")
        }
    }

    func forceAbort(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) {
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

    func hasLostTrack(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool {
        let domain = try domain(identity)
        let body = { [libvirt] () throws(HypervisorError) in try libvirt.hasLostTrack(domain, disk) }
        guard try await call("query-block", domain, .monitor, body), world.mutation != .lostTrackDenied else { return false }
        // Twice, a second apart: a pivot's end may be about to be noted.
        await withUnsafeContinuation { continuation in _ = world.loop.after(1 * .second) { continuation.resume() } }
        return try await call("query-block", domain, .monitor, body)
    }

    func bringBack(_ identity: DomainIdentity, disk: String) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("bring back", domain, .monitor, isWrite: true) { [libvirt] () throws(HypervisorError) in
            try libvirt.bringBack(domain, disk)
        }
    }

    func growSupport() async throws(HypervisorError) -> GrowSupport { .supported }
    func keepsTPMState() async throws(HypervisorError) -> Bool { true }

    func subscribe(_ events: HypervisorEvents, to identity: DomainIdentity) async throws(HypervisorError) {
        guard events.take() else { return }
        let domain = try domain(identity)
        try await call("subscribe", domain, .nothing) { [libvirt, life] in libvirt.subscribe(events, domain, life) }
    }

    // MARK: The host

    func secret(usageType: String, usage: String) async throws(HypervisorError) -> String? {
        try await call("secret", nil, .nothing) { [libvirt] in libvirt.secrets["\(usageType):\(usage)"] }
    }

    func hasSecret(uuid: String) async throws(HypervisorError) -> Bool {
        try await call("secret", nil, .nothing) { [libvirt] in libvirt.secrets.values.contains(uuid) }
    }

    func makeSecret(xml: String, uuid: String, value: [UInt8]) async throws(HypervisorError) {
        let usage = (try? XMLTree(parsing: xml))?.first("usage")
        let key = "\(usage?.value("type") ?? ""):\(usage?.children.first?.text ?? "")"
        try await call("define secret", nil, .nothing, isWrite: true) { [libvirt] in libvirt.secrets[key] = uuid }
    }

    func removeSecret(uuid: String) async throws(HypervisorError) {
        try await call("undefine secret", nil, .nothing, isWrite: true) { [libvirt] () throws(HypervisorError) in
            guard let key = libvirt.secrets.first(where: { $0.value == uuid })?.key else {
                throw HypervisorError(.noSecret, number: 66, "Secret not found")
            }
            libvirt.secrets[key] = nil
        }
    }

    func inspect(path: String) async throws(HypervisorError) -> PathDescription? {
        try await live()
        return world.path(path)
    }

    /// A file on a server that hangs does not answer.
    func look(at path: String, of owner: PathOwner) async -> PathAnswer {
        guard life.pass() else { return .noAnswer }
        if world.isHung(path) {
            await world.pause(SimClock.time(owner.patience))
            if world.isHung(path) { return .noAnswer }
        }
        return world.path(path).map { .found($0) } ?? .nothing
    }

    func addresses(ofHost name: String) async -> [String] { name == "127.1" || name == "localhost" ? ["127.0.0.1"] : [name] }

    func luksPayloadOffset(path: String) async throws(HypervisorError) -> Int64? { nil }
}
