import Foundation

@testable import VolumeSwap

/// The hypervisor as one incarnation of pivotd sees it.
///
/// A call waits for the connection, travels, is carried out by ``SimLibvirt`` and answered. A read that loses the connection is
/// repeated; a write throws `connectionLost`, done or not; a call that takes too long is given up as `busy`, and may be carried
/// out later.
final class SimHypervisor: Hypervisor, @unchecked Sendable {
    let kind = "simulated"
    var isOnThisHost: Bool { world.isOnOneHost }
    var isConnected: Bool { world.libvirt.isUp }
    unowned let world: SimWorld
    let life: SimLife
    var libvirt: SimLibvirt { world.libvirt }

    init(_ world: SimWorld, _ life: SimLife) {
        self.world = world
        self.life = life
    }

    private static let dead = HypervisorError(.other, "this pivotd is dead")

    func live() async throws(HypervisorError) {
        if life.pass() { return }
        await life.rest()
        throw Self.dead
    }

    func call<Value>(
        _ name: String, _ domain: SimDomain?, _ need: SimCall.Need, isWrite: Bool = false,
        isBlocked: @escaping () -> Bool = { false }, ifDead: Value? = nil, evenIfCancelled: Bool = false,
        _ body: @escaping () throws(HypervisorError) -> Value
    ) async throws(HypervisorError) -> Value {
        try await live()
        while true {
            await libvirt.waitUntilConnected()
            guard life.isAlive, evenIfCancelled || !Task.isCancelled else { throw Self.dead }
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
            let connection = libvirt.epoch
            libvirt.send(call)
            await libvirt.wait(for: call, atMost: need == .nothing ? nil : world.callLimit, evenIfCancelled: evenIfCancelled)
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

    func domain(_ identity: DomainIdentity) throws(HypervisorError) -> SimDomain {
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

    func savedStates(_ identity: DomainIdentity) async throws(HypervisorError) -> SavedStates { SavedStates() }

    func status(_ identity: DomainIdentity) async throws(HypervisorError) -> DomainStatus {
        let domain = try domain(identity)
        return try await call("status", domain, .nothing) { [libvirt] () throws(HypervisorError) in try libvirt.status(domain) }
    }

    func life(_ identity: DomainIdentity) async throws(HypervisorError) -> String? {
        let domain = try domain(identity)
        return try await call("life", domain, .nothing) { domain.live.map { _ in "\(domain.starts)" } }
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

    func guestState(_ identity: DomainIdentity) async throws(HypervisorError) -> GuestState {
        let domain = try domain(identity)
        return try await call("state", domain, .nothing) { [libvirt] () throws(HypervisorError) in try libvirt.guestState(domain)
        }
    }

    /// QEMU first finishes the guest's requests.
    func suspend(_ identity: DomainIdentity) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("suspend", domain, .monitor, isWrite: true) {
            domain.qemu.map { qemu in qemu.jobs.keys.contains { qemu.hasStuckWrites($0) } } ?? false
        } _: { [libvirt] () throws(HypervisorError) in
            try libvirt.suspend(domain, by: "pivotd")
        }
    }

    func resume(_ identity: DomainIdentity) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("resume", domain, .monitor, isWrite: true, evenIfCancelled: true) { [libvirt] in
            libvirt.resume(domain, by: "pivotd")
        }
    }

    func isAutostarted(_ identity: DomainIdentity) async throws(HypervisorError) -> Bool {
        let domain = try domain(identity)
        return try await call("autostart", domain, .nothing) { domain.isAutostarted }
    }

    func setAutostart(_ identity: DomainIdentity) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("set autostart", domain, .lock, isWrite: true) { [world] () throws(HypervisorError) in
            guard domain.stored != nil else {
                throw HypervisorError(.operationInvalid, number: 55, "cannot set autostart for transient domain")
            }
            domain.isAutostarted = world.mutation != .autostartDropped
        }
    }

    func saveDefinition(_ identity: DomainIdentity) async throws(HypervisorError) {
        let domain = try domain(identity)
        try await call("save definition", domain, .lock, isWrite: true) { () throws(HypervisorError) in
            guard domain.stored != nil else { throw HypervisorError(.operationInvalid, number: 55, "domain is transient") }
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
}
