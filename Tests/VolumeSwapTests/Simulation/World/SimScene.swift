import JSON

@testable import VolumeSwap

/// The initial state of the host for a seed: domains, volumes, requests.
struct SimScene {
    let world: SimWorld
    private var loop: SimLoop { world.loop }
    private static let gib: Int64 = 1 << 30

    init(_ world: SimWorld) { self.world = world }

    func make(isCalm: Bool, sending: SimLoop.Time) {
        let count = Int(loop.pick(1...4))
        for _ in 0..<count { addDomain(isRunning: true) }
        if loop.chance(35) { addDomain(isRunning: false) }
        let running = world.domains.filter { $0.qemu != nil }
        if !isCalm, loop.chance(12) { addJob(loop.pick(running)) }
        for number in 1...Int(loop.pick(1...4)) { addTask(number, loop.pick(running), isCalm: isCalm, sending: sending) }
        for domain in running where domain.holdsSwaps {
            for disk in ["vdb", "vdc"] where !world.tasks.contains(where: { $0.domain === domain && $0.disk == disk }) {
                addTask(world.tasks.count + 1, domain, disk, isCalm: isCalm, sending: sending)
            }
        }
    }

    private func addVolume(_ kind: SimVolume.Kind? = nil, gib: Int64 = 1, isConnected: Bool = true) -> SimVolume {
        let kind = kind ?? loop.pick([.file, .file, .block, .nbd, .nbd, .rbd, .iscsi, .attached])
        return world.add(
            SimVolume(number: world.volumes.count + 1, kind: kind, bytes: gib * Self.gib, isConnected: isConnected))
    }

    private func addDomain(isRunning: Bool) {
        let number = world.domains.count + 1
        let targets = loop.chance(25) ? ["vdb", "vdc"] : ["vdb"]
        var volumes: [String: SimVolume] = [:]
        var disks: [SimConfiguration.Disk] = []
        for target in targets {
            let volume = addVolume()
            volumes[target] = volume
            var disk = SimConfiguration.Disk(
                target: target, location: volume.names[0].location, format: "raw", serial: volume.id)
            if volume.kind == .iscsi, case .network(let network) = disk.location {
                let secret = CHAPSecret.uuid(network)
                disk.secret = secret
                world.earlierSecrets.insert(secret)
                world.libvirt.secrets["iscsi:\(CHAPSecret.usage(network))"] = secret
            }
            disks.append(disk)
        }
        let configuration = SimConfiguration(disks: disks, note: "as made")
        let domain = SimDomain(
            number: number, configuration: configuration, isPersistent: !isRunning || loop.chance(80))
        domain.startedAutostarted = domain.stored != nil && loop.chance(50)
        domain.isAutostarted = domain.startedAutostarted
        domain.holdsSwaps = isRunning && targets.count == 2 && loop.chance(60)
        for target in targets { domain.written[target] = [UInt32](repeating: 0, count: 8) }
        world.domains.append(domain)
        domain.qemu = SimQEMU(world, domain, disks: volumes, isBusy: loop.chance(30))
        if loop.chance(30) { domain.qemu?.cancelTime = loop.pick(30 * .second...3 * .minute) }
        domain.qemu?.write()
        guard !isRunning else { return }
        domain.qemu = nil
        domain.live = nil
    }

    /// Puts someone else's block job on a disk: a copy, which nova and pivotd consider stale, or a job that must not be touched.
    private func addJob(_ domain: SimDomain) {
        guard let disk = domain.live?.disks[0], let qemu = domain.qemu, let volume = qemu.disks[disk.target] else { return }
        if loop.chance(70) {
            let name = addVolume(volume.kind == .attached ? .file : volume.kind).names[0]
            let destination = SimConfiguration.Disk(
                target: disk.target, location: name.location, format: "raw", serial: disk.serial, secret: disk.secret)
            try? world.libvirt.startCopy(domain, destination, slice: nil, isRebase: false, by: "people")
        } else {
            qemu.start(
                SimJob(
                    number: world.nextNumber(), target: volume, type: "pull", slice: nil, destination: disk, work: 1 * .hour,
                    at: loop.now))
        }
    }

    private func addTask(
        _ number: Int, _ domain: SimDomain, _ wanted: String? = nil, isCalm: Bool, sending: SimLoop.Time
    ) {
        let disk = wanted ?? loop.pick(domain.stored?.disks.map(\.target) ?? domain.live?.disks.map(\.target) ?? [])
        let before = world.tasks.last { $0.domain === domain && $0.disk == disk }
        guard let old = before?.new ?? domain.qemu?.disks[disk] else { return }
        var new: SimVolume?
        var isPlain = before == nil
        let chance = loop.below(100)
        if chance < 12 {
            new = world.tasks.last?.new
        } else if chance < 18 {
            new = loop.pick(world.volumes)
        }
        var resize: Int64 = 0
        if new != nil { isPlain = false }
        let target =
            new
            ?? {
                let gib: Int64 = loop.chance(15) ? 2 : 1
                if gib == 2 { resize = loop.chance(60) ? 2 : 0 }
                let kind: SimVolume.Kind? = loop.chance(50) ? old.kind : nil
                let volume = addVolume(kind, gib: gib)
                volume.isConnected = volume.kind != .attached
                return volume
            }()
        let name = target.names[isPlain ? 0 : Int(loop.below(UInt64(target.names.count)))]
        var options: JSONObject = [:]
        if target.kind == .file || target.kind == .block, resize == 0, target.bytes == old.bytes, loop.chance(50) {
            options["strategy"] = "rebase"
        }
        if domain.holdsSwaps { options = ["hold": true] }
        if options["strategy"] == nil, loop.chance(10) { options["synchronous_writes"] = true }
        let isOutrun = options["strategy"] == nil && options["synchronous_writes"] == nil && loop.chance(15)
        if isOutrun || loop.chance(50) { options["convergence"] = "auto" }
        if options["synchronous_writes"] == true { options["convergence"] = nil }
        // A rebase that is demanded has no such option.
        if loop.chance(10), options["strategy"] == nil { options["guest_latency_budget"] = loop.chance(50) ? "2x" : 3 }
        if !isCalm, loop.chance(30) { options["stall_timeout_s"] = .integer(loop.pick(5...60)) }
        if !isCalm, loop.chance(15) { options["timeout_s"] = .integer(loop.pick(5...200)) }
        let instance: JSONValue = loop.chance(25) ? ["name": .string(domain.name)] : .string(domain.identity.uuid)
        // After a migration Cinder gives the new volume the old one's id, which is the disk's serial.
        var connection = before.flatMap { $0.args["new_connection_info"]?.objectValue } ?? old.names[0].connection
        if let serial = domain.live?[disk]?.serial { connection["serial"] = .string(serial) }
        // If two requests name one volume, its id may not identify it.
        var newConnection = name.connection
        let isNameless = new != nil && target.kind != .attached && loop.chance(50)
        if isNameless { newConnection["serial"] = nil }
        let args: JSONObject = [
            "instance": instance, "old_connection_info": .object(connection),
            "new_connection_info": .object(newConnection), "mountpoint": .string("/dev/\(disk)"),
            "resize_to": .integer(resize), "old_volume_id": connection["serial"] ?? .null,
            "new_volume_id": isNameless ? .null : .string(target.id),
            "options": .object(options),
        ]
        if world.tasks.contains(where: { $0.new === old || $0.old === target }) { isPlain = false }
        let task = SimTask(
            number: number, domain: domain, disk: disk, old: old, new: target, args: args, isCall: loop.chance(90),
            sentAt: before.map { $0.sentAt + loop.pick(0...sending / 2) } ?? loop.pick(0...sending), isPlain: isPlain)
        task.isOutrun = isOutrun
        world.tasks.append(task)
        loop.after(task.sentAt) { [world] in
            // Only its id identifies an attached volume, so whoever moves it on knows that it has arrived there.
            task.isWithdrawn = old.kind == .attached && before.map { $0.outcome?.phase != .completed } ?? false
            if !task.isWithdrawn { world.broker.send(task, as: task.replyTo) }
        }
        if !isCalm, loop.chance(15) {
            loop.after(task.sentAt + loop.pick(0...20 * .second)) { [world] in
                if !task.isWithdrawn { world.broker.send(task, as: task.replyTo) }
            }
        }
    }
}
