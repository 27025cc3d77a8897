@testable import VolumeSwap

/// One call to libvirtd: it is carried out there whether or not somebody still waits for its answer.
final class SimCall: @unchecked Sendable {
    enum Need {
        /// Look-ups, XML, lists, define.
        case nothing
        /// The domain's job lock.
        case lock
        /// The lock, and an answer of QEMU's monitor.
        case monitor
    }

    let name: String
    let domain: SimDomain?
    let need: Need
    /// What else holds it up in QEMU: a destination that does not answer while it is opened.
    let isBlocked: () -> Bool
    /// Whether it keeps the lock although it was carried out.
    var holdsOn: () -> Bool = { false }
    /// What it comes to when it has been carried out and let the lock go.
    var afterwards: () -> HypervisorError? = { nil }
    /// What a QEMU that has just died makes of it; by default a broken monitor.
    var ifDead: () -> HypervisorError? = {
        HypervisorError(.other, number: 38, "Unable to read from monitor: Connection reset by peer")
    }
    var isPivot: Bool { name == "pivot" }
    private let body: () -> HypervisorError?
    private var isCarriedOut = false
    private(set) var isAnswered = false
    private(set) var error: HypervisorError?
    /// The one who waits for the answer.
    var waiter: UnsafeContinuation<Void, Never>?

    init(
        _ name: String, _ domain: SimDomain?, _ need: Need, isBlocked: @escaping () -> Bool, _ body: @escaping () -> HypervisorError?
    ) {
        self.name = name
        self.domain = domain
        self.need = need
        self.isBlocked = isBlocked
        self.body = body
    }

    fileprivate func carryOut() -> HypervisorError? {
        if isCarriedOut { return nil }
        isCarriedOut = true
        return body()
    }

    fileprivate func answer(_ error: HypervisorError?) {
        isAnswered = true
        self.error = error
        wake()
    }

    func wake() {
        waiter?.resume()
        waiter = nil
    }
}

/// libvirtd: calls, locks, its own record of each job, its connection to pivotd.
///
/// What is assumed, and where it was seen on libvirt 9.0 (LAB.md, "When something hangs"):
/// - a call that asks QEMU's monitor holds the domain's job lock; another one that wants the lock fails after 30 s with error 68;
/// - abort and pivot are asynchronous: `<mirror ready='pivot'>` or `'abort'` until QEMU's job has ended, a second one is refused with 55;
/// - READY is told once; `<mirror ready='yes'>` also tells it after a restart;
/// - at a job's end QEMU has none any more, then the stored configuration names the new source and `<mirror>` loses its `ready`, then the
///   event comes, and only some milliseconds later the live configuration names the new source without a `<mirror>`;
/// - a pivot that is asked for while the guest's writes hang in the destination is not answered, asynchronous or not, and holds the
///   lock; when libvirtd is restarted in that state and the destination goes on, the new libvirtd ends the guest;
/// - a cancel that QEMU carries out at once while the destination hangs (a copy that is not in step, with nothing in flight) stops QEMU's
///   main loop until the destination is back; a yank of its socket before that avoids it;
/// - in the second after QEMU's death there is no block job, and the domain still is active;
/// - a libvirtd that is stopped (SIGSTOP) loses pivotd's connection by the keepalive, and carries out what it has received when it goes on.
final class SimLibvirt: @unchecked Sendable {
    unowned let world: SimWorld
    private(set) var isUp = true
    private(set) var isHung = false
    private(set) var isConnected = true
    /// Of pivotd's connection.
    private(set) var epoch = 0
    /// Of the daemon's process.
    private(set) var generation = 0
    private(set) var diedAt: SimLoop.Time = 0
    var losesEvents = false
    var secrets: [String: String] = [:]
    private var inbox: [SimCall] = []
    private var backlog: [() -> Void] = []
    private var nextEventAt: SimLoop.Time = 0
    private var nextArrivalAt: SimLoop.Time = 0
    private var awaitingConnection: [UnsafeContinuation<Void, Never>] = []
    private var subscriptions: [(life: SimLife, uuid: String, events: HypervisorEvents)] = []
    /// Ends of jobs that this daemon has not taken note of, by domain and disk.
    private var missed: [String: (job: SimJob, end: SimJob.End)] = [:]

    private var loop: SimLoop { world.loop }

    init(_ world: SimWorld) { self.world = world }

    // MARK: Calls

    /// Sends a call on its way.
    func send(_ call: SimCall) {
        let sentTo = generation
        loop.after(loop.pick(50...2000)) { [self] in
            guard isUp, generation == sentTo else { return }
            if isHung { inbox.append(call) } else { accept(call) }
        }
    }

    private func accept(_ call: SimCall) {
        guard let domain = call.domain, call.need != .nothing else { return reply(call, call.carryOut()) }
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
                HypervisorError(.busy, number: 68, "Timed out during operation: cannot acquire state change lock (held by \(holder))"))
        }
    }

    /// Carries on with a domain's calls.
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
            let error = call.carryOut()
            if error == nil, call.holdsOn() { return }
            domain.calls.removeFirst()
            reply(call, error ?? call.afterwards())
        }
    }


    private func reply(_ call: SimCall, _ error: HypervisorError?) {
        let connection = epoch
        loop.after(loop.pick(0...500)) { [self] in if connection == epoch { call.answer(error) } }
    }

    // MARK: The connection

    func waitUntilConnected() async {
        while !isConnected { await withUnsafeContinuation { awaitingConnection.append($0) } }
    }

    /// The calls that somebody waits for.
    private var outstanding: [SimCall] = []

    func loseConnection(_ cause: String) {
        guard isConnected else { return }
        world.note("libvirt", "the connection is lost: \(cause)")
        isConnected = false
        epoch += 1
        for call in outstanding { call.wake() }
        if isUp, !isHung { reconnect() }
    }

    /// Suspends until the call was answered, the connection was lost, or the time is over.
    func wait(for call: SimCall, atMost limit: SimLoop.Time?) async {
        guard isConnected else { return }
        outstanding.append(call)
        let timer = limit.map { limit in loop.after(limit) { call.wake() } }
        await withUnsafeContinuation { call.waiter = $0 }
        loop.cancel(timer)
        outstanding.removeAll { $0 === call }
    }

    private func reconnect() {
        let process = generation
        loop.after(loop.pick(50 * .millisecond...1 * .second)) { [self] in
            guard isUp, !isHung, generation == process, !isConnected else { return }
            isConnected = true
            world.note("libvirt", "connected again")
            let waiters = awaitingConnection
            awaitingConnection = []
            for waiter in waiters { waiter.resume() }
            for subscription in subscriptions where subscription.life.isAlive { subscription.events.post(.look) }
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
        for subscription in subscriptions where subscription.uuid == domain.identity.uuid {
            let event = event(subscription.life)
            loop.after(nextArrivalAt - loop.now) { [self] in
                if connection == epoch, subscription.life.isAlive { subscription.events.post(event) }
            }
        }
    }

    /// What QEMU tells, in its order, a little late.
    private func hear(_ action: @escaping () -> Void) {
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
            guard domain.qemu?.jobs[job.disk] === job, domain.live?[job.disk]?.mirror?.ready == nil else { return }
            domain.live?[job.disk]?.mirror?.ready = "yes"
            emit(domain) { .blockJob(disk: job.disk, status: .ready, at: world.clock($0).now) }
        }
    }

    func jobEnded(_ domain: SimDomain, _ job: SimJob, _ end: SimJob.End) {
        if case .failed(let cause) = end {
            hear { [self] in emit(domain) { _ in .jobError(disk: job.disk, message: cause) } }
        }
        missed["\(domain.number)/\(job.disk)"] = (job, end)
        hear { [self] in
            domain.live?[job.disk]?.mirror?.ready = nil
            if end == .pivoted, domain.stored?[job.disk]?.location == domain.live?[job.disk]?.location {
                domain.stored?[job.disk] = job.destination
                domain.stored?[job.disk]?.hasSlice = false
            }
            emit(domain) { .blockJob(disk: job.disk, status: end.status, at: world.clock($0).now) }
            let process = generation
            loop.after(loop.pick(0...12 * .millisecond)) { [self] in if generation == process { note(domain, job, end) } }
        }
    }

    /// The live configuration follows some milliseconds after the event.
    private func note(_ domain: SimDomain, _ job: SimJob, _ end: SimJob.End) {
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

    private func forgetLive(_ domain: SimDomain) {
        domain.qemu = nil
        domain.live = nil
        domain.metadata = nil
        for disk in missed.keys.filter({ $0.hasPrefix("\(domain.number)/") }) { missed[disk] = nil }
        world.note("libvirt", "\(domain.name) is not running\(domain.isKnown ? "" : ", and known no more")")
    }

    // MARK: The daemon's life

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
        // What it had received before the connection was closed it carries out, though nobody hears the answer.
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

    /// What a new libvirtd makes of a domain that lives on: four states were met that are not as they should be.
    private func readBack(_ domain: SimDomain) {
        guard let qemu = domain.qemu, let live = domain.live else { return }
        if qemu.isDead { return forgetLive(domain) }
        for disk in live.disks {
            let key = "\(domain.number)/\(disk.target)"
            let ended = missed.removeValue(forKey: key)
            if let job = qemu.jobs[disk.target] {
                if disk.mirror != nil, diedAt - job.startedAt < 300 * .millisecond, loop.chance(50) {
                    // It died before it had noted the copy's destination: the job is known, where it goes is not.
                    domain.live?[disk.target]?.mirror = nil
                    world.note("libvirt", "has forgotten where \(domain.name)'s copy of \(disk.target) goes")
                } else if job.state == .ready, disk.mirror?.ready == nil {
                    domain.live?[disk.target]?.mirror?.ready = "yes"  // READY itself is told once only
                }
                continue
            }
            guard disk.mirror != nil, let ended else { continue }
            if ended.end == .pivoted {
                if diedAt - ended.job.pivotAskedAt < 100 * .millisecond, loop.chance(50) {
                    // It died between QEMU's pivot and its own note of it.
                    domain.live?[disk.target]?.mirror = nil
                    world.note("libvirt", "has lost track of the pivot of \(domain.name)'s \(disk.target)")
                } else {
                    note(domain, ended.job, ended.end)
                }
            } else if loop.chance(50) {
                note(domain, ended.job, ended.end)
            } else {
                // The job ended while it was dead: no job, but the <mirror> stays and bars every other one.
                world.note("libvirt", "keeps the <mirror> of \(domain.name)'s \(disk.target), whose job is over")
            }
        }
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
