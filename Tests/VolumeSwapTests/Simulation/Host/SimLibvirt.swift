@testable import VolumeSwap

/// libvirtd: calls, locks, its own record of each job, its connection to pivotd.
///
/// Assumptions, and where each was observed on libvirt 9.0 (LAB.md, "When something hangs"):
/// - a call that asks QEMU's monitor holds the domain's job lock; another call that needs the lock fails after 30 s with error
///   68;
/// - abort and pivot are asynchronous: `<mirror ready='pivot'>` or `'abort'` until QEMU's job has ended; a second request is
///   refused with 55;
/// - READY is reported once; `<mirror ready='yes'>` also shows it after a restart;
/// - at a job's end QEMU first drops the job, then the stored configuration names the new source and `<mirror>` loses its
///   `ready`, then the event arrives, and only some milliseconds later the live configuration names the new source without a
///   `<mirror>`;
/// - a pivot requested while the guest's writes hang in the destination is not answered, asynchronous or not, and holds the
///   lock; if libvirtd is restarted in that state and the destination recovers, the new libvirtd kills the guest;
/// - a cancel that QEMU carries out at once while the destination hangs (a copy out of sync, with nothing in flight) blocks
///   QEMU's main loop until the destination is back; yanking its socket first avoids that;
/// - in the second after QEMU's death there is no block job, but the domain is still active;
/// - a stopped libvirtd (SIGSTOP) loses pivotd's connection to the keepalive, and carries out what it had received once it
///   continues.
final class SimLibvirt: @unchecked Sendable {
    unowned let world: SimWorld
    var isUp = true
    var isHung = false
    private(set) var isConnected = true
    /// The number of pivotd's connection.
    private(set) var epoch = 0
    /// The number of the daemon's process.
    var generation = 0
    var diedAt: SimLoop.Time = 0
    var losesEvents = false
    var secrets: [String: String] = [:]
    var inbox: [SimCall] = []
    var backlog: [() -> Void] = []
    private var nextEventAt: SimLoop.Time = 0
    private var nextArrivalAt: SimLoop.Time = 0
    private var awaitingConnection: [UnsafeContinuation<Void, Never>] = []
    private var subscriptions: [(life: SimLife, uuid: String, events: HypervisorEvents)] = []
    /// Ends of jobs that this daemon has not recorded, by domain and disk.
    var missed: [String: (job: SimJob, end: SimJob.End)] = [:]

    var loop: SimLoop { world.loop }

    init(_ world: SimWorld) { self.world = world }

    // MARK: Calls

    /// Sends a call.
    func send(_ call: SimCall) {
        let sentTo = generation
        loop.after(loop.pick(50...2000)) { [self] in
            guard isUp, generation == sentTo else { return }
            if isHung { inbox.append(call) } else { accept(call) }
        }
    }

    func accept(_ call: SimCall) {
        guard let domain = call.domain, call.need != .nothing else { return reply(call, call.body()) }
        domain.calls.append(call)
        pump(domain)
        guard !call.isAnswered else { return }
        loop.after(30 * .second) { [self] in
            guard let index = domain.calls.firstIndex(where: { $0 === call }), index > 0 || loop.now < domain.lockedUntil else {
                return
            }
            domain.calls.remove(at: index)
            let holder = index > 0 ? domain.calls[0].name : "somebody else's call"
            reply(
                call,
                HypervisorError(
                    .busy, number: 68, "Timed out during operation: cannot acquire state change lock (held by \(holder))"))
        }
    }

    /// Continues a domain's calls.
    func pump(_ domain: SimDomain) {
        guard isUp, !isHung, loop.now >= domain.lockedUntil else { return }
        while let call = domain.calls.first {
            if call.need == .monitor, let qemu = domain.qemu {
                if qemu.isStalled { return }
                if qemu.isDead {
                    domain.calls.removeFirst()
                    reply(call, call.ifDead())
                    continue
                }
                if call.isBlocked() { return }
            }
            domain.calls.removeFirst()
            reply(call, call.body())
        }
    }

    private func reply(_ call: SimCall, _ error: HypervisorError?) {
        let connection = epoch
        loop.after(loop.pick(0...500)) { [self] in if connection == epoch { call.answer(error) } }
    }

    /// Whether a call is pending that pauses or resumes a guest: it may undo what somebody does meanwhile.
    func hasPause(of domain: SimDomain) -> Bool {
        (domain.calls + inbox.filter { $0.domain === domain }).contains { ["suspend", "resume"].contains($0.name) }
    }

    // MARK: The connection

    func waitUntilConnected() async {
        while !isConnected { await withUnsafeContinuation { awaitingConnection.append($0) } }
    }

    /// Calls that someone waits for.
    private var outstanding: [SimCall] = []

    func loseConnection(_ cause: String) {
        guard isConnected else { return }
        world.note("libvirt", "the connection is lost: \(cause)")
        isConnected = false
        epoch += 1
        for call in outstanding { call.wake() }
        if isUp, !isHung { reconnect() }
    }

    /// Waits until the call is answered, the connection is lost, or the time is over.
    func wait(for call: SimCall, atMost limit: SimLoop.Time?, evenIfCancelled: Bool = false) async {
        guard isConnected else { return }
        outstanding.append(call)
        let timer = limit.map { limit in loop.after(limit) { call.wake() } }
        // An abandoned call stays pending.
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                call.waiter = continuation
                if Task.isCancelled, !evenIfCancelled { call.wake() }
            }
        } onCancel: {
            if !evenIfCancelled { call.wake() }
        }
        loop.cancel(timer)
        outstanding.removeAll { $0 === call }
    }

    func reconnect() {
        let process = generation
        loop.after(loop.pick(50 * .millisecond...1 * .second)) { [self] in
            guard isUp, !isHung, generation == process, !isConnected else { return }
            isConnected = true
            world.note("libvirt", "connected again")
            let waiters = awaitingConnection
            awaitingConnection = []
            for waiter in waiters { waiter.resume() }
            for subscription in subscriptions where subscription.life.isAlive { subscription.events.post(.recheck) }
        }
    }

    // MARK: Events

    func subscribe(_ events: HypervisorEvents, _ domain: SimDomain, _ life: SimLife) {
        subscriptions.removeAll { !$0.life.isAlive }
        subscriptions.append((life, domain.identity.uuid, events))
        events.onClose { [weak self] in self?.subscriptions.removeAll { $0.events === events } }
    }

    private func emit(_ domain: SimDomain, _ event: (SimLife) -> HypervisorEvent) {
        guard isConnected, !losesEvents else { return world.note("libvirt", "an event of \(domain.name) is lost") }
        let connection = epoch
        nextArrivalAt = max(nextArrivalAt, loop.now + loop.pick(0...20 * .millisecond))
        let isRepeated = loop.chance(1, of: 40)
        for subscription in subscriptions where subscription.uuid == domain.identity.uuid {
            let event = event(subscription.life)
            loop.after(nextArrivalAt - loop.now) { [self] in
                guard connection == epoch, subscription.life.isAlive else { return }
                subscription.events.post(event)
                if isRepeated { subscription.events.post(event) }
            }
        }
    }

    /// QEMU's events, in order and a little late.
    func hear(_ action: @escaping () -> Void) {
        guard isUp else { return }
        if isHung {
            backlog.append(action)
            return
        }
        let process = generation
        let delay = loop.chance(1, of: 12) ? loop.pick(0...2 * .second) : loop.pick(200...20 * .millisecond)
        nextEventAt = max(nextEventAt, loop.now + delay)
        loop.after(nextEventAt - loop.now) { [self] in
            guard isUp, generation == process else { return }
            if isHung { backlog.append(action) } else { action() }
        }
    }

    func jobBecameReady(_ domain: SimDomain, _ job: SimJob) {
        world.note(domain.name, "QEMU's job on \(job.disk) is ready")
        world.moment(.ready, domain)
        hear { [self] in
            guard job.type == "copy", domain.qemu?.jobs[job.disk] === job, domain.live?[job.disk]?.mirror?.ready == nil else {
                return
            }
            domain.live?[job.disk]?.mirror?.ready = "yes"
            emit(domain) { .blockJob(disk: job.disk, status: .ready, at: world.clock($0).now) }
        }
    }

    func jobEnded(_ domain: SimDomain, _ job: SimJob, _ end: SimJob.End) {
        if case .failed(let cause) = end {
            hear { [self] in emit(domain) { _ in .jobError(disk: job.disk, message: cause) } }
        }
        missed["\(domain.number)/\(job.disk)"] = (job, end)
        let qemu = domain.qemu
        hear { [self] in
            guard domain.qemu === qemu else { return }
            domain.live?[job.disk]?.mirror?.ready = nil
            if end == .pivoted, domain.stored?[job.disk]?.location == domain.live?[job.disk]?.location {
                domain.stored?[job.disk] = job.destination
                domain.stored?[job.disk]?.hasSlice = false
            }
            emit(domain) { .blockJob(disk: job.disk, status: end.status, at: world.clock($0).now) }
            let process = generation
            loop.after(loop.pick(0...12 * .millisecond)) { [self] in
                if generation == process, domain.qemu === qemu { note(domain, job, end) }
            }
        }
    }

    /// Updates the live configuration, some milliseconds after the event.
    func note(_ domain: SimDomain, _ job: SimJob, _ end: SimJob.End) {
        missed["\(domain.number)/\(job.disk)"] = nil
        guard domain.live?[job.disk] != nil else { return }
        if end == .pivoted { domain.live?[job.disk] = job.destination }
        domain.live?[job.disk]?.mirror = nil
        world.note("libvirt", "notes that \(domain.name)'s job on \(job.disk) \(end)")
        pump(domain)
        world.moment(.noted, domain)
    }

    /// QEMU's process is gone; libvirt notices up to two seconds late (seen with a killed QEMU).
    func qemuDied(_ domain: SimDomain, _ qemu: SimQEMU, reason: String, isAtOnce: Bool = false) {
        let action = { [self] in
            guard domain.qemu === qemu else { return }
            forgetLive(domain)
            emit(domain) { _ in .stopped(reason: reason) }
            pump(domain)
        }
        if isAtOnce, isUp, !isHung { return action() }
        hear(action)
    }

    func forgetLive(_ domain: SimDomain) {
        domain.qemu = nil
        domain.live = nil
        domain.metadata = nil
        for disk in missed.keys.filter({ $0.hasPrefix("\(domain.number)/") }) { missed[disk] = nil }
        world.note("libvirt", "\(domain.name) is not running\(domain.isKnown ? "" : ", and known no more")")
    }
}

extension SimJob.End {
    fileprivate var status: BlockJobStatus {
        switch self {
        case .pivoted: .completed
        case .cancelled: .canceled
        case .failed: .failed
        }
    }
}
