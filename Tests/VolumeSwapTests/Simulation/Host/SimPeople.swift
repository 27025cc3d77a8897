@testable import VolumeSwap

/// Other people on the same host: operators with virsh, nova, the guests themselves.
struct SimPeople {
    let world: SimWorld
    private var loop: SimLoop { world.loop }

    init(_ world: SimWorld) { self.world = world }

    func act(_ kind: SimFaults.Kind, _ domain: SimDomain, _ disk: String) {
        guard world.libvirt.isUp, !world.libvirt.isHung else { return }
        switch kind {
        case .destroyed, .shutDown:
            guard domain.qemu != nil else { return }
            world.note("people", kind == .destroyed ? "virsh destroy \(domain.name)" : "\(domain.name) shuts itself down")
            end(
                domain, reason: kind == .destroyed ? "destroyed from the host" : "shut down by the guest",
                isAtOnce: kind == .destroyed)
            if loop.chance(60) { loop.after(loop.pick(100 * .millisecond...30 * .second)) { start(domain) } }
        case .undefined: undefine(domain)
        case .deleted:
            world.note("nova", "deletes \(domain.name)")
            end(domain, reason: "destroyed from the host", isAtOnce: true)
            loop.after(loop.pick(1 * .millisecond...200 * .millisecond)) { undefine(domain) }
        case .abortedByHand, .pivotedByHand:
            try? world.libvirt.abort(domain, disk, pivot: kind == .pivotedByHand, by: "people")
        case .paused: pause(domain)
        default: edit(domain)
        }
    }

    private func undefine(_ domain: SimDomain) {
        // Only an existing definition can be removed; while pivotd has it, virsh says "cannot undefine transient domain".
        guard world.libvirt.isUp, domain.stored != nil else { return }
        try? world.libvirt.undefine(domain, by: "people")
    }

    private func pause(_ domain: SimDomain) {
        guard let qemu = domain.qemu, qemu.pausedBy == nil, !world.libvirt.hasPause(of: domain) else { return }
        try? world.libvirt.suspend(domain, by: "people")
        guard qemu.pausedBy == "people" else { return }
        domain.history.isPausedByPeople = !world.checks.mayResume(domain)
        guard loop.chance(60) else { return }
        loop.after(loop.pick(1 * .second...60 * .second)) { [world] in
            guard domain.qemu === qemu, qemu.pausedBy == "people" else { return }
            domain.history.isPausedByPeople = false
            world.libvirt.resume(domain, by: "people")
        }
    }

    private func edit(_ domain: SimDomain) {
        guard var stored = domain.stored else { return }
        stored.note = "edited at \(loop.now)"
        try? world.libvirt.define(domain, stored, by: "people")
    }

    /// The guest's QEMU is gone.
    func end(_ domain: SimDomain, reason: String, isAtOnce: Bool) {
        guard let qemu = domain.qemu, !qemu.isDead else { return }
        qemu.write()
        qemu.die()
        if !isAtOnce { return world.libvirt.qemuDied(domain, qemu, reason: reason) }
        world.libvirt.qemuDied(domain, qemu, reason: reason, isAtOnce: true)
    }

    func start(_ domain: SimDomain) {
        guard world.libvirt.isUp, !world.libvirt.isHung, domain.qemu == nil, let stored = domain.stored else { return }
        var disks: [String: SimVolume] = [:]
        for disk in stored.disks {
            guard let volume = world.volume(at: disk.location), volume.isConnected else { return }
            if volume.isLocked, world.isOpen(volume) {
                return world.note("people", "\(domain.name) does not start: \(volume.id) is locked")
            }
            disks[disk.target] = volume
        }
        world.note("people", "start \(domain.name) on \(world.outline(stored))")
        world.checks.guestStarts(domain, disks)
        let qemu = SimQEMU(world, domain, disks: disks, isBusy: loop.chance(30))
        domain.history.isPausedByPeople = false
        domain.live = stored
        domain.qemu = qemu
        domain.starts += 1
        qemu.write()
    }
}
