import JSON

@testable import VolumeSwap

/// What must hold at the end.
extension SimChecks {
    func end() {
        for domain in world.domains { end(domain) }
        for task in world.tasks { endGroup(task) }
        for task in world.tasks { end(task) }
        for volume in world.volumes where volume.kind == .attached && volume.isConnected { endConnected(volume) }
        for (usage, uuid) in world.libvirt.secrets.sorted(by: { $0.key < $1.key }) {
            let isUsed = world.domains.contains { domain in
                (domain.live?.disks ?? []).contains { $0.secret == uuid }
                    || (domain.stored?.disks ?? []).contains { $0.secret == uuid }
            }
            let isOurs = world.tasks.contains { task in
                // A guest that runs on it needs it, whatever its configuration says.
                if task.outcome?.phase == .completed || task.saysNew || world.isOpen(task.new) { return false }
                if world.earlierSecrets.contains(uuid) { return false }
                return usage.contains(":v\(task.new.number)/") && !isTaken(task.new)
            }
            if !isUsed, isOurs, !isNamed("secret") {
                world.violate("the secret \(usage) is left behind, and nobody was told")
            }
        }
    }

    /// Disks that pivoted as a group did so without a write of their guest in between, or their callers were told.
    private func endGroup(_ task: SimTask) {
        guard let pivoted = task.pivoted, case .success(let result) = task.outcome, result.warnings.isEmpty else { return }
        for other in world.tasks where pivoted.group.contains(other.id) {
            if let write = other.pivoted?.write, write != pivoted.write {
                world.violate("\(task.id) and \(other.id) pivoted as a group, not at one point in time, and nobody was told")
            }
        }
    }

    private func end(_ task: SimTask) {
        if task.isWithdrawn { return }
        guard task.isOver else { return world.violate("\(task.id) has not ended three hours after everything was released") }
        if let record = world.storage.records[task.id], !record.isOver {
            world.violate(
                "\(task.id) was answered, and still is \(record.phase.rawValue) three hours after everything was released")
        }
        guard let over = task.repliedAt ?? task.decidedAt else { return }
        let deadline = deadline(task)
        if over > deadline {
            world.violate(
                "\(task.id) ended \((over - deadline) / .second) s after its bound, though nothing that it needs was held up")
        }
        if let (from, answerBy) = task.answerBy, over > answerBy, !isDisturbed(task, from, answerBy) {
            world.violate("\(task.id)'s copy stalled, and it was answered \((over - answerBy) / .second) s too late")
        }
        if let abortedAt = task.abortedAt, case .failure(let failure) = task.outcome, failure.isAbort,
            !isDisturbed(task, abortedAt, over), over - abortedAt > 2 * .minute
        {
            world.violate("\(task.id) was aborted, and answered only \((over - abortedAt) / .second) s later")
        }
    }

    /// All tasks that share a volume or instance with a task, and so may hold it up.
    private func company(_ task: SimTask) -> [SimTask] {
        var company = [task]
        while true {
            let more = world.tasks.filter { other in
                !company.contains { $0 === other }
                    && company.contains {
                        $0.domain === other.domain || $0.new === other.new || $0.old === other.new || $0.new === other.old
                    }
            }
            if more.isEmpty { return company }
            company += more
        }
    }

    private func deadline(_ task: SimTask) -> SimLoop.Time {
        let company = company(task)
        let ends = world.faults.disturbances.filter { disturbance in
            disturbance.isEverybodys
                || company.contains {
                    $0.domain === disturbance.domain || $0.new === disturbance.volume || $0.old === disturbance.volume
                        || $0.domain.othersVolumes.contains { $0 === disturbance.volume }
                }
        }.map(\.until)
        return max(company.map(\.sentAt).max() ?? 0, ends.max() ?? 0) + 1 * .hour
    }

    private func isDisturbed(_ task: SimTask, _ from: SimLoop.Time, _ until: SimLoop.Time) -> Bool {
        world.faults.disturbances.contains { disturbance in
            disturbance.from < until && disturbance.until > from
                && (disturbance.isEverybodys || disturbance.domain === task.domain)
        }
    }

    private func isNamed(_ words: String...) -> Bool {
        world.tasks.contains { task in
            switch task.outcome {
            case .failure(let failure):
                words.contains { word in failure.reason.contains(word) || failure.leftBehind.contains { $0.contains(word) } }
            case .success(let result):
                words.contains { word in result.warnings.contains { $0.contains(word) } }
            case nil: false
            }
        }
    }

    private func end(_ domain: SimDomain) {
        let name = domain.name
        if domain.startedPersistent, domain.stored == nil, domain.history.removedAt == nil {
            world.violate("\(name) was persistent and has no definition at the end")
        }
        if domain.stored != nil, domain.history.removedAt == nil, domain.isAutostarted != domain.startedAutostarted {
            world.violate("\(name) is not started with the host any more")
        }
        guard let qemu = domain.qemu, !qemu.isDead, let live = domain.live else { return }
        if qemu.pausedBy == "pivotd" { world.violate("\(name) stays paused by pivotd") }
        if domain.metadata != nil { world.violate("pivotd's metadata is left on \(name)") }
        for (target, volume) in qemu.disks.sorted(by: { $0.key < $1.key }) {
            let touching = world.tasks.filter { $0.domain === domain && $0.disk == target }
            guard !touching.isEmpty, !unknowable.contains(key(domain, target)) else { continue }
            if let job = qemu.jobs[target], job.type == "copy", !job.isOthers, touching.contains(where: { $0.new === job.target })
            {
                world.violate("the copy of \(name)'s \(target) to \(job.target.id) is left behind")
            }
            if qemu.jobs[target] == nil, live[target]?.mirror != nil, !isNamed("mirror", "could not be ended yet") {
                world.violate("a <mirror> without a job is left on \(name)'s \(target), and nobody was told")
            }
            let isTold = isNamed("eep both", "in_use new") || touching.contains { $0.saysNew }
            if let place = live[target]?.location, world.volume(at: place) !== volume, !isTold {
                world.violate("\(name) runs \(volume.id) as \(target), and its live configuration names \(place)")
            }
            if let place = domain.stored?[target]?.location, world.volume(at: place) !== volume, !isTold {
                world.violate("\(name) runs \(volume.id) as \(target), and its stored configuration names \(place)")
            }
            if domain.written[target] != volume.sectors {
                world.violate("\(name)'s writes to \(target) are not all on \(volume.id)")
            }
        }
    }

    /// Whether a swap onto it has succeeded; what happened to it since is not pivotd's doing.
    private func isTaken(_ volume: SimVolume) -> Bool {
        world.tasks.contains { $0.new === volume && $0.outcome?.phase == .completed }
    }

    private func endConnected(_ volume: SimVolume) {
        let isUsed = world.domains.contains { domain in
            domain.qemu?.disks.values.contains { $0 === volume } == true
                || (domain.stored?.disks ?? []).contains { world.volume(at: $0.location) === volume }
        }
        let isOurs = world.tasks.contains { task in
            if case .success = task.outcome { return task.old === volume }
            return task.new === volume && volume.wasConnectedByPivotd && !isTaken(volume)
        }
        if !isUsed, isOurs, !isNamed(volume.names[0].location.description, volume.id) {
            world.violate("\(volume.id) is left connected to the host, and nobody was told")
        }
    }
}

extension SimTask {
    fileprivate var saysNew: Bool {
        if case .failure(let failure) = outcome { return failure.inUse == .new }
        return false
    }
}
