import JSON

@testable import VolumeSwap

extension SimFaults {
    func strike(_ kind: Kind, _ struck: SimDomain?) {
        guard !isReleased else { return }
        let task = world.tasks.last { $0.domain === struck && $0.outcome == nil } ?? loop.pick(world.tasks)
        let domain = struck ?? task.domain
        switch kind {
        case .hungVolumeAndAbort:
            strike(.hungVolume, task.new)
            loop.after(loop.pick(500 * .millisecond...20 * .second)) { [self] in if !isReleased { ask(.abort, task) } }
        case .stalledQEMUAndKill:
            strikeQEMU(.stalledQEMU, domain)
            loop.after(loop.pick(0...30 * .second)) { [self] in if !isReleased { strikePivotd(.killedPivotd) } }
        case .hungVolume, .failingVolume:
            // Mostly a volume of the swap, sometimes an unrelated one.
            strike(kind, loop.chance(70) ? task.new : loop.chance(60) ? task.old : loop.pick(world.volumes))
        case .stalledQEMU, .deadQEMU: strikeQEMU(kind, domain)
        case .hungLibvirt, .deadLibvirt, .lostConnection, .lostEvents, .heldLock, .refusedDefine, .failedGrow:
            strikeLibvirt(kind, domain)
        case .powerLoss: SimPowerLoss(world).strike()
        case .fullJournal, .killedPivotd, .stoppedPivotd, .helper: strikePivotd(kind)
        case .abort, .bandwidth: ask(kind, task)
        case .destroyed, .shutDown, .undefined, .deleted, .abortedByHand, .pivotedByHand, .edited, .paused:
            SimPeople(world).act(kind, domain, task.disk)
        }
    }

    private func strike(_ kind: Kind, _ volume: SimVolume) {
        if kind == .hungVolume {
            let time = loop.pick(length)
            world.note("storage", "\(volume.id) does not answer, for \(time / .second) s")
            world.checks.hangs(volume, for: time)
            set(volume, isHung: true)
            hold(nil, volume, for: time) { [self] in
                if volume.isHung { world.note("storage", "\(volume.id) answers again") }
                set(volume, isHung: false)
            }
        } else {
            volume.trouble = loop.pick(["No space left on device", "Input/output error"])
            world.note("storage", "\(volume.id) fails: \(volume.trouble ?? "")")
            disturb(nil, volume, for: 0)
            for domain in world.domains { domain.qemu?.fail(volume) }
        }
    }

    func set(_ volume: SimVolume, isHung: Bool) {
        volume.isHung = isHung
        for domain in world.domains {
            if !isHung, let qemu = domain.qemu, qemu.isDoomed, qemu.jobs.values.contains(where: { $0.target === volume }) {
                world.note("libvirt", "ends \(domain.name), whose monitor did not answer when libvirtd started")
                SimPeople(world).end(domain, reason: "QEMU failed", isAtOnce: false)
                continue
            }
            domain.qemu?.update()
            world.libvirt.pump(domain)
        }
    }

    private func strikeQEMU(_ kind: Kind, _ domain: SimDomain) {
        guard let qemu = domain.qemu else { return }
        if kind == .deadQEMU {
            world.note(domain.name, "QEMU is killed")
            return SimPeople(world).end(domain, reason: "QEMU crashed or was killed", isAtOnce: false)
        }
        let time = loop.pick(length)
        world.note(domain.name, "QEMU is stopped, for \(time / .second) s")
        qemu.stop(true)
        hold(domain, for: time) { [self] in
            if qemu.isStalled { world.note(domain.name, "QEMU goes on") }
            qemu.stop(false)
            world.libvirt.pump(domain)
        }
    }

    private func strikeLibvirt(_ kind: Kind, _ domain: SimDomain) {
        let libvirt = world.libvirt
        let time = min(loop.pick(length), loop.pick(1 * .second...2 * .minute))
        switch kind {
        case .hungLibvirt:
            world.note("libvirt", "libvirtd is stopped, for \(time / .second) s")
            libvirt.hang()
            hold(for: time) { libvirt.goOn() }
        case .deadLibvirt:
            world.note("libvirt", "libvirtd is killed")
            libvirt.kill()
            hold(for: loop.pick(500 * .millisecond...15 * .second)) { [self] in
                if !libvirt.isUp { world.note("libvirt", "libvirtd starts") }
                libvirt.start()
            }
        case .lostConnection:
            libvirt.loseConnection("by chance")
        case .lostEvents:
            libvirt.losesEvents = true
            hold(for: time) { libvirt.losesEvents = false }
        case .heldLock:
            world.note("libvirt", "somebody's call holds \(domain.name)'s lock for \(time / .second) s")
            domain.lockedUntil = loop.now + time
            hold(domain, for: time) { libvirt.pump(domain) }
        case .refusedDefine:
            world.note("libvirt", "cannot store a definition of \(domain.name), for \(time / .second) s")
            domain.defineTrouble = "cannot write configuration file: No space left on device"
            hold(domain, for: time) { domain.defineTrouble = nil }
        default:
            world.note("libvirt", "resizes fail")
            world.growFails = true
        }
    }

    private func strikePivotd(_ kind: Kind) {
        switch kind {
        case .fullJournal:
            let time = min(loop.pick(length), 10 * .minute)
            world.note("journal", "its disk is full, for \(time / .second) s")
            world.storage.isFull = true
            hold(for: time) { [world] in world.storage.isFull = false }
        case .killedPivotd: world.pivotd?.life.end()
        case .stoppedPivotd:
            world.note("pivotd", "is asked to stop")
            world.pivotd?.stop()
        default:
            world.connectorTrouble = loop.pick(SimConnector.Trouble.allCases)
            world.note("helper", "\(world.connectorTrouble.map { "\($0)" } ?? "")")
            hold(for: loop.pick(5 * .second...60 * .second)) { [world] in world.connectorTrouble = nil }
        }
    }

    private func ask(_ kind: Kind, _ task: SimTask) {
        guard let pivotd = world.pivotd else { return }
        pivotd.spawn { [world] in
            if kind == .bandwidth {
                _ = try? await pivotd.service.setBandwidth(.task(task.id), mibS: 10)
                return
            }
            do {
                _ = try await pivotd.service.abort(.task(task.id))
                guard pivotd.life.isAlive else { return }
                world.note("client", "aborts \(task.id)")
                task.abortedAt = world.loop.now
            } catch {
                world.note("client", "cannot abort \(task.id): \(error)")
            }
        }
    }
}
