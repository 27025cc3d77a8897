import JSON

@testable import VolumeSwap

/// What goes wrong, and when: drawn from the seed before the run.
///
/// A fault strikes at a time, or at a moment of some swap, where it hurts most.
final class SimFaults: @unchecked Sendable {
    enum Kind: CaseIterable {
        // Storage
        case hungVolume, failingVolume, hungVolumeAndAbort
        // QEMU
        case stalledQEMU, deadQEMU, stalledQEMUAndKill
        // libvirt
        case hungLibvirt, deadLibvirt, lostConnection, lostEvents, heldLock, refusedDefine, failedGrow
        // pivotd's host
        case powerLoss
        // pivotd and its own parts
        case fullJournal, killedPivotd, stoppedPivotd, helper
        // The caller
        case abort, bandwidth
        // Other people
        case destroyed, shutDown, undefined, deleted, abortedByHand, pivotedByHand, edited, paused

        /// Faults that can last for hours.
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
    private(set) var isReleased = false
    /// How long hangs last.
    private(set) var length: ClosedRange<SimLoop.Time> = 1...1

    var loop: SimLoop { world.loop }

    init(_ world: SimWorld) { self.world = world }

    // MARK: The plan

    func prepare() {
        isCalm = loop.chance(1, of: 16)
        let isLong = !isCalm && loop.chance(1, of: 12)
        length =
            isLong
            ? 90 * .minute...4 * .hour
            : loop.pick([1 * .second...8 * .second, 5 * .second...50 * .second, 40 * .second...5 * .minute])
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

    func disturb(_ domain: SimDomain? = nil, _ volume: SimVolume? = nil, for time: SimLoop.Time) {
        disturbances.append(Disturbance(domain: domain, volume: volume, from: loop.now, until: loop.now + time))
    }

    /// Does something now and undoes it after a while.
    func hold(_ domain: SimDomain? = nil, _ volume: SimVolume? = nil, for time: SimLoop.Time, until undo: @escaping () -> Void) {
        disturb(domain, volume, for: time)
        loop.after(time, undo)
    }

    /// The end of all trouble, from which on everything must finish.
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
        for task in world.tasks { task.answerBy = nil }
        for index in disturbances.indices { disturbances[index].until = min(disturbances[index].until, loop.now) }
    }
}
