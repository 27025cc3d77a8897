import JSON

@testable import VolumeSwap

/// What must always hold; each check names the promise that was broken.
final class SimChecks: @unchecked Sendable {
    unowned let world: SimWorld
    /// Pivots requested by other people, by job.
    private var pivotsByHand: Set<Int> = []
    /// Disks whose jobs other people interfered with.
    private var handled: Set<String> = []
    /// Disks that libvirt has lost track of without monitor access: nobody can know what they run on.
    private(set) var unknowable: Set<String> = []

    init(_ world: SimWorld) { self.world = world }

    func key(_ domain: SimDomain, _ disk: String) -> String { "\(domain.number)/\(disk)" }

    /// Tasks that may still move this disk to this volume.
    private func wanting(_ domain: SimDomain, _ disk: String, _ volume: SimVolume) -> [SimTask] {
        world.tasks.filter { $0.outcome == nil && $0.domain === domain && $0.disk == disk && $0.new === volume }
    }

    // MARK: Never two writers on one volume

    func copyStarts(_ domain: SimDomain, _ disk: String, onto volume: SimVolume, isSynchronous: Bool, by actor: String) {
        guard actor == "pivotd" else { return }
        let asking = wanting(domain, disk, volume)
        if let task = asking.first, asking.count == 1, task.isOutrun {
            if task.hasConverged, !isSynchronous {
                world.violate("\(task.id) goes back to a copy that does not converge")
            }
            task.hasConverged = task.hasConverged || isSynchronous
        }
        for other in world.domains {
            for (target, used) in (other.qemu?.disks ?? [:]).sorted(by: { $0.key < $1.key }) where used === volume {
                world.violate("a copy onto \(volume.id), which \(other.name) runs as \(target)")
            }
            if let job = other.qemu?.jobs.values.first(where: { $0.target === volume }) {
                world.violate("a copy onto \(volume.id), which \(other.name)'s \(job.disk) is being copied to")
            }
            for stored in other.stored?.disks ?? [] where world.volume(at: stored.location) === volume {
                world.violate("a copy onto \(volume.id), which \(other.name) has stored as \(stored.target)")
            }
        }
        // A copy requested before an early answer may start late; the ongoing roll-back ends it.
        let isPending = world.tasks.contains {
            $0.domain === domain && $0.disk == disk && $0.new === volume && $0.outcome != nil
                && world.storage.records[$0.id]?.isOver == false
        }
        if !isPending, let task = wanting(domain, disk, volume).first, task.source == nil {
            task.source = domain.qemu?.disks[disk]
        }
        if wanting(domain, disk, volume).isEmpty, !isPending {
            world.violate("a copy of \(domain.name)'s \(disk) that no task asks for")
        }
    }

    func guestStarts(_ domain: SimDomain, _ disks: [String: SimVolume]) {
        domain.history.startedAt = world.loop.now
        for (target, volume) in disks.sorted(by: { $0.key < $1.key }) {
            if world.isOpen(volume) { world.violate("two guests on \(volume.id): \(domain.name) starts on it as \(target)") }
            if let written = domain.written[target], written != volume.sectors, !isUnclear(domain, target) {
                world.violate("\(domain.name) starts with a \(target) on \(volume.id) that lacks its last writes")
            }
            domain.written[target] = volume.sectors
        }
    }

    /// A copy that stalls because its destination hangs must be given up in time: the caller is answered within half a minute.
    func hangs(_ volume: SimVolume, for time: SimLoop.Time) {
        for task in world.tasks where task.new === volume && task.outcome == nil {
            guard let job = task.domain.qemu?.jobs[task.disk], job.target === volume, job.state == .copying,
                wanting(task.domain, task.disk, volume).first === task,
                let limit = task.args["options"]?["stall_timeout_s"]?.integerValue
            else { continue }
            let answerBy = world.loop.now + limit * .second + 90 * .second
            if answerBy < world.loop.now + time { task.answerBy = (world.loop.now, answerBy) }
        }
    }

    /// Whether someone was told, or is still to be told, that the last writes may be on either volume.
    private func isUnclear(_ domain: SimDomain, _ disk: String) -> Bool {
        world.tasks.contains { task in
            guard task.domain === domain, task.disk == disk else { return false }
            guard case .failure(let failure) = task.outcome else { return task.outcome == nil }
            return failure.inUse == .unknown || failure.inUse == VolumeInUse.none || failure.reason.contains("keep both")
                || failure.reason.contains("Keep both")
        }
    }

    // MARK: Only requested moves happen

    func aborts(_ domain: SimDomain, _ job: SimJob, pivot: Bool, by actor: String) {
        if actor != "pivotd" {
            if pivot { pivotsByHand.insert(job.number) }
            handled.insert(key(domain, job.disk))
            return
        }
        if job.type != "copy" { world.violate("pivotd ends a \(job.type) job of \(domain.name), which is not its own") }
        if pivot, wanting(domain, job.disk, job.target).isEmpty {
            world.violate("pivotd pivots \(domain.name)'s \(job.disk) to \(job.target.id), and no unanswered task asks for it")
        }
    }

    func pivoted(_ domain: SimDomain, _ job: SimJob) {
        let task = wanting(domain, job.disk, job.target).first
        task?.hasMoved = true
        if let task, let group = world.storage.records[task.id]?.plan?.pivotGroup {
            task.pivoted = (group.members, domain.qemu?.guestWrites ?? 0)
        }
        if pivotsByHand.contains(job.number) { return }
        if wanting(domain, job.disk, job.target).isEmpty {
            world.violate(
                "\(domain.name)'s \(job.disk) moves to \(job.target.id) after its task was answered "
                    + "\(world.tasks.filter { $0.new === job.target }.map { $0.outcome?.phase.rawValue ?? "" })")
        }
    }

    // MARK: The guest's pause

    /// Whether pivotd may resume a guest that somebody pauses now: nobody can tell whose pause it was.
    func mayResume(_ domain: SimDomain) -> Bool {
        world.storage.records.values.contains { record in
            record.plan?.domain == domain.identity && record.plan?.pivotGroup?.pauses == true && !record.isOver
        }
    }

    func resumes(_ domain: SimDomain) {
        if domain.history.isPausedByPeople { world.violate("pivotd resumes \(domain.name), which somebody else has paused") }
    }

    // MARK: Definitions

    func readStored(_ domain: SimDomain) { domain.history.readAt = world.loop.now }
    func looked(_ domain: SimDomain) { domain.history.lookedAt = world.loop.now }

    func undefined(_ domain: SimDomain, by actor: String) {
        if actor == "pivotd" {
            domain.history.isTaken = true
        } else {
            domain.history.removedAt = world.loop.now
            // If pivotd was killed just before undefining, it cannot tell who did it.
            domain.history.isTaken = world.storage.records.values.contains { record in
                record.plan.map { $0.domain == domain.identity && record.phase == .undefining } ?? false
            }
        }
    }

    /// Identifies this pivotd and its connection: if a define's answer is lost with them, nobody knows whether it was made.
    private var connectionNow: SimDomain.History.Connection {
        .init(life: world.pivotd?.life.number, epoch: world.libvirt.epoch)
    }

    func defines(_ domain: SimDomain, _ configuration: SimConfiguration, by actor: String) {
        guard actor == "pivotd" else {
            domain.history.note = (configuration.note, world.loop.now)
            domain.history.isTaken = false
            return
        }
        if let note = domain.history.note, note.text != configuration.note, note.at < domain.history.readAt {
            world.violate("\(domain.name)'s definition loses what somebody wrote into it, \(note.text)")
        }
        if domain.stored == nil, !domain.history.isTaken {
            // Only a pivotd that could have known is at fault: there is always a gap between a check and a define.
            if !domain.startedPersistent {
                world.violate("pivotd defines \(domain.name), which was transient")
            } else if let removedAt = domain.history.removedAt, removedAt < domain.history.lookedAt,
                domain.history.givenBackIn.map({ $0 == connectionNow }) ?? true
            {
                world.violate("pivotd defines \(domain.name) again, which somebody else has undefined")
            }
        }
        if domain.history.isTaken { domain.history.givenBackIn = connectionNow }
        domain.history.isTaken = false
    }

    func losesTrack(_ domain: SimDomain, _ disk: String) {
        if !world.allowsMonitorCommands { unknowable.insert(key(domain, disk)) }
    }

    func disconnects(_ volume: SimVolume) {
        if world.isOpen(volume) { world.violate("\(volume.id) is disconnected while a guest uses it") }
    }

    // MARK: Outcomes

    /// An outcome was stored or reported: the first time it must be true, and after that unchanged.
    func decided(_ id: TaskID, _ outcome: SwapOutcome, by actor: String) {
        guard let task = world.tasks.first(where: { $0.id == id }) else { return world.violate("an answer to nobody: \(id)") }
        if let known = task.outcome {
            if case .failure(let failure) = outcome, failure.conclusion != nil { checkConclusion(task, failure.asEnded) }
            if known.withoutPassword.asTold != outcome.withoutPassword.asTold {
                world.violate("\(id) has two outcomes: \(Self.outline(known)) and then, by \(actor), \(Self.outline(outcome))")
            }
            return
        }
        world.note(actor, "\(id): \(Self.outline(outcome))")
        task.outcome = outcome
        task.decidedAt = world.loop.now
        switch outcome {
        case .success: checkSuccess(task)
        case .failure(let failure): checkFailure(task, failure)
        }
        world.moment(.decided, task.domain)
    }

    static func outline(_ outcome: SwapOutcome) -> String {
        switch outcome {
        case .success: "success"
        case .failure(let failure):
            "\(failure.isAbort ? "aborted" : "failed") (\(failure.code.rawValue), in_use \(failure.inUse?.rawValue ?? "not said")): "
                + "\(failure.reason)\(failure.leftBehind.isEmpty ? "" : "; left behind: \(failure.leftBehind)")"
        }
    }

    /// The state of its guest's current run, or nothing if it is gone.
    private func running(_ task: SimTask) -> SimVolume? {
        guard let qemu = task.domain.qemu, !qemu.isDead, !unknowable.contains(key(task.domain, task.disk)) else { return nil }
        return qemu.disks[task.disk]
    }

    private func checkSuccess(_ task: SimTask) {
        let domain = task.domain
        if let running = running(task) {
            if running !== task.new { world.violate("\(task.id) is a success, but \(domain.name) runs \(running.id)") }
            if let live = domain.live?[task.disk], world.volume(at: live.location) !== task.new {
                world.violate("\(task.id) is a success, but the live configuration names \(live.location)")
            }
        }
        if let stored = domain.stored?[task.disk], world.volume(at: stored.location) !== task.new {
            world.violate("\(task.id) is a success, but the stored configuration names \(stored.location)")
        }
        if task.abortedAt != nil, !handled.contains(key(domain, task.disk)) {
            world.violate("\(task.id) is a success, though abort_swap was taken on")
        }
    }

    /// A task that was answered ahead of its end has ended: what it leaves behind must be true, too.
    private func checkConclusion(_ task: SimTask, _ failure: SwapFailure) {
        checkFailure(task, failure)
        guard failure.inUse == .old, failure.leftBehind.isEmpty, let qemu = task.domain.qemu, !qemu.isDead,
            let job = qemu.jobs[task.disk], job.target === task.new, wanting(task.domain, task.disk, task.new).isEmpty,
            !handled.contains(key(task.domain, task.disk))
        else { return }
        world.violate("\(task.id) says that nothing is left behind, and a copy onto \(task.new.id) runs")
    }

    private func checkFailure(_ task: SimTask, _ failure: SwapFailure) {
        let running = running(task)
        switch failure.inUse {
        case .old:
            // Without a copy, the old volume is only known not to be the new one: its serial may have described it.
            let isWrong = task.source.map { $0 !== running } ?? (running === task.new && task.old !== task.new)
            // Nobody can notice a manual pivot while the domain does not answer.
            if let running, isWrong, !handled.contains(key(task.domain, task.disk)) {
                world.violate("\(task.id) says in_use old, and the guest runs \(running.id)")
            }
        case .new:
            if let running, running !== task.new { world.violate("\(task.id) says in_use new, and the guest runs \(running.id)") }
        case VolumeInUse.none?:
            if running === task.new || running === task.source ?? task.old, task.domain.history.startedAt < task.sentAt {
                world.violate("\(task.id) says in_use none, and the guest runs \(running?.id ?? "")")
            }
        case .unknown: break
        case nil:
            if running === task.new, task.hasMoved, !handled.contains(key(task.domain, task.disk)) {
                world.violate("\(task.id) has failed, and the guest runs the new volume \(task.new.id): \(failure.reason)")
            }
        }
        if world.faults.isCalm, task.isPlain, world.tasks.count == 1 {
            world.violate("\(task.id) has failed, and nothing was wrong: \(failure.reason)")
        }
    }
}
