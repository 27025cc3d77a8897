@testable import VolumeSwap

/// pivotd's host goes dark: pivotd ends, and libvirtd and every guest unless they are on another one. The journal's file keeps what was
/// synced, and perhaps some of what was written since.
struct SimPowerLoss {
    let world: SimWorld
    private var loop: SimLoop { world.loop }

    init(_ world: SimWorld) { self.world = world }

    func strike() {
        world.note("host", "loses power")
        world.storage.losePower(loop)
        world.pivotd?.life.end()
        if world.isOnOneHost { endGuests() }
    }

    private func endGuests() {
        world.libvirt.kill()
        for domain in world.domains {
            guard let qemu = domain.qemu else { continue }
            qemu.write()
            qemu.die()
            world.libvirt.forgetLive(domain)
        }
        world.faults.hold(for: loop.pick(1 * .second...20 * .second)) { [self] in
            world.note("host", "boots")
            world.libvirt.start()
            for domain in world.domains where domain.isAutostarted || loop.chance(50) { SimPeople(world).start(domain) }
        }
    }
}
