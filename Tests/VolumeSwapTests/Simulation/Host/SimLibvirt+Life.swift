@testable import VolumeSwap

/// The daemon's life cycle.
extension SimLibvirt {
    func hang() {
        guard isUp, !isHung else { return }
        isHung = true
        let process = generation
        let connection = epoch
        loop.after(loop.pick(15 * .second...30 * .second)) { [self] in
            if isHung, generation == process, connection == epoch { loseConnection("no answer to the keepalive") }
        }
    }

    func goOn() {
        guard isHung else { return }
        isHung = false
        let events = backlog
        backlog = []
        for event in events { hear(event) }
        let calls = inbox
        inbox = []
        // It carries out what it had received before the connection was closed, though nobody gets the answer.
        for call in calls where isConnected || loop.chance(50) { accept(call) }
        for domain in world.domains { pump(domain) }
        if !isConnected { reconnect() }
    }

    func kill() {
        guard isUp else { return }
        isUp = false
        isHung = false
        generation += 1
        diedAt = loop.now
        inbox = []
        backlog = []
        for domain in world.domains {
            if let call = domain.calls.first, call.isPivot, call.isBlocked() { domain.qemu?.isDoomed = true }
            domain.calls = []
        }
        loseConnection("libvirtd is dead")
    }

    func start() {
        guard !isUp else { return }
        isUp = true
        for domain in world.domains { readBack(domain) }
        reconnect()
    }

    /// How a new libvirtd sees a domain that lived on; four observed states are wrong.
    private func readBack(_ domain: SimDomain) {
        guard let qemu = domain.qemu, let live = domain.live else { return }
        if qemu.isDead { return forgetLive(domain) }
        for disk in live.disks {
            let key = "\(domain.number)/\(disk.target)"
            let ended = missed.removeValue(forKey: key)
            if let job = qemu.jobs[disk.target] {
                if disk.mirror != nil, diedAt - job.startedAt < 300 * .millisecond, loop.chance(50) {
                    // It died before recording the copy's destination: the job is known, its destination is not.
                    domain.live?[disk.target]?.mirror = nil
                    world.note("libvirt", "has forgotten where \(domain.name)'s copy of \(disk.target) goes")
                } else if job.state == .ready, disk.mirror?.ready == nil {
                    domain.live?[disk.target]?.mirror?.ready = "yes"  // READY itself is reported only once
                }
                continue
            }
            guard disk.mirror != nil, let ended else { continue }
            if ended.end == .pivoted {
                if diedAt - ended.job.pivotAskedAt < 100 * .millisecond, loop.chance(50) {
                    // It died between QEMU's pivot and its own record of it.
                    domain.live?[disk.target]?.mirror = nil
                    world.checks.losesTrack(domain, disk.target)
                    world.note("libvirt", "has lost track of the pivot of \(domain.name)'s \(disk.target)")
                } else {
                    note(domain, ended.job, ended.end)
                }
            } else if loop.chance(50) {
                note(domain, ended.job, ended.end)
            } else {
                // The job ended while it was down: no job, but the <mirror> stays and bars every other job.
                world.note("libvirt", "keeps the <mirror> of \(domain.name)'s \(disk.target), whose job is over")
            }
        }
    }
}
