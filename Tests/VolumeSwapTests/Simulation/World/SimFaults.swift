import JSON
import OrderedCollections

@testable import VolumeSwap

/// What goes wrong, and when: drawn by the seed before the run.
///
/// A fault strikes at a time, or at a moment of some swap, which is when it hurts.
final class SimFaults: @unchecked Sendable {
    enum Kind: CaseIterable {
        // Storage
        case hungVolume, failingVolume, hungVolumeAndAbort
        // QEMU
        case stalledQEMU, deadQEMU, stalledQEMUAndKill
        // libvirt
        case hungLibvirt, deadLibvirt, lostConnection, lostEvents, heldLock, refusedDefine, failedGrow
        // pivotd and what is its own
        case fullJournal, killedPivotd, stoppedPivotd, helper
        // The caller
        case abort, bandwidth
        // Other people
        case destroyed, shutDown, undefined, deleted, abortedByHand, pivotedByHand, edited

        /// What can last for hours.
        static let hangs: [Kind] = [.hungVolume, .hungVolumeAndAbort, .stalledQEMU, .stalledQEMUAndKill, .killedPivotd, .abort]
    }

    /// Whom a fault holds up, and until when.
    struct Disturbance {
        var domain: SimDomain?
        var volume: SimVolume?
        var from: SimLoop.Time
        var until: SimLoop.Time

        var isEverybodys: Bool { domain == nil && volume == nil }
    }

    unowned let world: SimWorld
    /// When the chaos is over.
    private(set) var end: SimLoop.Time = 0
    private(set) var disturbances: [Disturbance] = []
    private(set) var isCalm = false
    private var waiting: [(moment: SimWorld.Moment, count: Int, kind: Kind)] = []
    private var isReleased = false
    /// Hangs last this long.
    private var length: ClosedRange<SimLoop.Time> = 1...1

    private var loop: SimLoop { world.loop }

    init(_ world: SimWorld) { self.world = world }

    // MARK: The plan

    func prepare() {
        isCalm = loop.chance(1, of: 16)
        let isLong = !isCalm && loop.chance(1, of: 12)
        length = isLong ? 90 * .minute...4 * .hour : loop.pick([1 * .second...8 * .second, 5 * .second...50 * .second, 40 * .second...5 * .minute])
        end = isLong ? 5 * .hour : loop.pick(30 * .second...6 * .minute)
        world.set(sampleInterval: isLong ? .seconds(20) : .seconds(loop.pick([1, 1, 3])))
        world.callLimit = loop.pick([10 * .second, 40 * .second])
        SimScene(world).make(isCalm: isCalm, sending: isLong ? 1 * .minute : 8 * .second)
        for domain in world.domains { keepWriting(domain) }
        guard !isCalm else { return }
        for _ in 0..<Int([0, 0, 1, 1, 2, 3][Int(loop.below(6))]) { world.deaths.append(Int(loop.pick(1...70))) }
        for _ in 0..<Int(loop.pick(1...4)) {
            let kind = loop.pick(isLong ? Kind.hangs : Kind.allCases)
            if loop.chance(35) {
                loop.after(loop.pick(0...20 * .second)) { [self] in strike(kind, nil) }
            } else {
                waiting.append((loop.pick(SimWorld.Moment.allCases), Int(loop.pick(1...2)), kind))
            }
        }
    }

    private func keepWriting(_ domain: SimDomain) {
        domain.qemu?.write()
        guard loop.now < end else { return }
        loop.after(loop.pick(500 * .millisecond...(end / 20 + 1 * .second))) { [self] in keepWriting(domain) }
    }

    func happened(_ moment: SimWorld.Moment, _ domain: SimDomain?) {
        guard !isReleased else { return }
        for index in waiting.indices where waiting[index].moment == moment {
            waiting[index].count -= 1
            guard waiting[index].count == 0 else { continue }
            let kind = waiting[index].kind
            let delay = loop.pick([0, 1 * .millisecond, 5 * .millisecond, 50 * .millisecond, 400 * .millisecond])
            loop.after(delay) { [self] in strike(kind, domain) }
        }
    }

    private func disturb(_ domain: SimDomain? = nil, _ volume: SimVolume? = nil, for time: SimLoop.Time) {
        disturbances.append(Disturbance(domain: domain, volume: volume, from: loop.now, until: loop.now + time))
    }

    /// Does something now, undoes it after a while.
    private func hold(_ domain: SimDomain? = nil, _ volume: SimVolume? = nil, for time: SimLoop.Time, until undo: @escaping () -> Void) {
        disturb(domain, volume, for: time)
        loop.after(time, undo)
    }

    // MARK: The strikes

    private func strike(_ kind: Kind, _ struck: SimDomain?) {
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
            // Mostly a volume of the swap, now and then one that is none of its business.
            strike(kind, loop.chance(70) ? task.new : loop.chance(60) ? task.old : loop.pick(world.volumes))
        case .stalledQEMU, .deadQEMU: strikeQEMU(kind, domain)
        case .hungLibvirt, .deadLibvirt, .lostConnection, .lostEvents, .heldLock, .refusedDefine, .failedGrow: strikeLibvirt(kind, domain)
        case .fullJournal, .killedPivotd, .stoppedPivotd, .helper: strikePivotd(kind)
        case .abort, .bandwidth: ask(kind, task)
        case .destroyed, .shutDown, .undefined, .deleted, .abortedByHand, .pivotedByHand, .edited:
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

    private func set(_ volume: SimVolume, isHung: Bool) {
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
                task.abortedInLife = pivotd.life.number
            } catch {
                world.note("client", "cannot abort \(task.id): \(error)")
            }
        }
    }

    /// The end of all trouble: from here on everything must come to its end.
    func release() {
        isReleased = true
        world.deaths = []
        world.connectorTrouble = nil
        world.growFails = false
        world.storage.isFull = false
        world.libvirt.losesEvents = false
        world.libvirt.goOn()
        world.libvirt.start()
        for volume in world.volumes {
            volume.trouble = nil
            if volume.isHung { set(volume, isHung: false) }
        }
        for domain in world.domains {
            domain.defineTrouble = nil
            domain.lockedUntil = loop.now
            domain.qemu?.stop(false)
            world.libvirt.pump(domain)
        }
        for index in disturbances.indices { disturbances[index].until = min(disturbances[index].until, loop.now) }
    }
}
