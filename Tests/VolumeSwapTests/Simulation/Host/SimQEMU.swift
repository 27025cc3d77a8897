@testable import VolumeSwap

/// What QEMU does with a disk that is being copied: its job survives libvirtd and pivotd.
///
/// Observed on QEMU 7.2 (LAB.md, "When something hangs"): a mirror whose destination does not answer makes no progress; a pivot
/// waits for the destination's flush; a cancel waits for the requests in flight, unless the socket is yanked; the volumes must
/// have the same size; a failing destination ends the job, and the guest stays on the old volume.
final class SimJob: @unchecked Sendable {
    enum State { case copying, ready, pivoting, cancelling }
    enum End: Equatable {
        case pivoted, cancelled
        case failed(String)
    }

    let number: Int
    let disk: String
    let target: SimVolume
    /// libvirt's name for the kind of job.
    let type: String
    /// The guest's writes go to both volumes at once.
    var isSynchronous = false
    /// The guest writes as fast as it copies: it is in sync only once the guest's writes go to both volumes.
    var isOutrun = false
    /// Whether someone else started it.
    var isOthers = false
    let slice: Int64?
    /// The destination as given to libvirt: the disk as it will be after the pivot.
    let destination: SimConfiguration.Disk
    let startedAt: SimLoop.Time
    var pivotAskedAt: SimLoop.Time = 0
    var state = State.copying
    fileprivate var work: SimLoop.Time
    fileprivate var timer: SimLoop.Timer?
    fileprivate var since: SimLoop.Time = 0
    fileprivate var heldAt: SimLoop.Time?
    /// The size of the whole copy, for its progress.
    fileprivate let total: SimLoop.Time

    init(
        number: Int, target: SimVolume, type: String, slice: Int64?, destination: SimConfiguration.Disk, work: SimLoop.Time,
        at startedAt: SimLoop.Time
    ) {
        self.number = number
        disk = destination.target
        self.target = target
        self.type = type
        self.slice = slice
        self.destination = destination
        self.startedAt = startedAt
        self.work = work
        total = max(1, work)
    }
}

/// One QEMU process and its guest.
final class SimQEMU: @unchecked Sendable {
    unowned let world: SimWorld
    unowned let domain: SimDomain
    var disks: [String: SimVolume]
    private(set) var jobs: [String: SimJob] = [:]
    private var isStopped = false
    /// The destination that its main loop is waiting for.
    private var frozenBy: SimVolume?
    /// Stopped: no monitor, guest or job makes progress.
    var isStalled: Bool { isStopped || frozenBy?.isHung == true }
    private(set) var isDead = false
    /// Who has paused the guest's CPUs.
    var pausedBy: String?
    /// A guest that always writes, so that its copy always has bytes left.
    let isBusy: Bool
    /// The next libvirtd ends it once its destination recovers: see ``SimLibvirt``.
    var isDoomed = false
    /// Cancelling a READY job waits until the mirror is in sync, which takes long with a busy guest; a forced cancel does not.
    var cancelTime: SimLoop.Time?

    /// Counts the guest's writes.
    private(set) var guestWrites = 0

    private var loop: SimLoop { world.loop }

    init(_ world: SimWorld, _ domain: SimDomain, disks: [String: SimVolume], isBusy: Bool) {
        self.world = world
        self.domain = domain
        self.disks = disks
        self.isBusy = isBusy
    }

    // MARK: The guest

    /// The guest writes to all its disks.
    func write() {
        guard !isStalled, !isDead, pausedBy == nil || world.mutation == .pauseDropped else { return }
        guestWrites += 1
        for (target, volume) in disks.sorted(by: { $0.key < $1.key }) where !volume.isHung {
            // While a pivot waits for the destination's flush, the guest's writes are paused.
            if let job = jobs[target], job.state == .pivoting, job.target.isHung { continue }
            world.writes += 1
            let sector = Int(world.writes) % volume.sectors.count
            volume.sectors[sector] = world.writes
            domain.written[target]?[sector] = world.writes
        }
    }

    /// SIGSTOP and SIGCONT.
    func stop(_ isStopped: Bool) {
        self.isStopped = isStopped
        update()
    }

    func die() {
        isDead = true
        for job in jobs.values { loop.cancel(job.timer) }
        jobs = [:]
    }

    /// Whether the guest's writes are stuck in the destination of a copy.
    func hasStuckWrites(_ disk: String) -> Bool {
        guard let job = jobs[disk] else { return false }
        return isBusy && pausedBy == nil && job.state == .ready && job.target.isHung
    }

    // MARK: Jobs

    func start(_ job: SimJob) {
        jobs[job.disk] = job
        let source = disks[job.disk]
        let shown = job.slice ?? job.target.bytes
        job.target.sectors = source?.sectors ?? []
        if job.type == "copy", source?.bytes != shown || shown > job.target.bytes {
            let cause =
                shown > job.target.bytes
                ? "the sum of offset (0) and size (\(shown)) has to be smaller or equal to the actual size of the containing file"
                : "Source and target image have different sizes"
            loop.after(20 * .millisecond) { [self] in if jobs[job.disk] === job { end(job, .failed(cause)) } }
            return
        }
        update()
    }

    /// Resumes what was held up, and holds up what cannot go on.
    func update() {
        for job in jobs.values.sorted(by: { $0.number < $1.number }) {
            if isStalled || job.target.isHung { job.heldAt = job.heldAt ?? loop.now } else { job.heldAt = nil }
            let isHeld = isStalled || isDead || job.target.isHung || job.state == .ready
            if let timer = job.timer, isHeld {
                loop.cancel(timer)
                job.timer = nil
                job.work = max(0, job.work - (loop.now - job.since))
            } else if job.timer == nil, !isHeld {
                job.since = loop.now
                job.timer = loop.after(job.work) { [self] in
                    job.timer = nil
                    advance(job)
                }
            }
        }
    }

    private func advance(_ job: SimJob) {
        guard jobs[job.disk] === job else { return }
        if let trouble = job.target.trouble, job.state != .cancelling { return end(job, .failed(trouble)) }
        switch job.state {
        case .copying where job.isOutrun && !job.isSynchronous:
            job.work = 1 * .second
            update()
        case .copying:
            job.state = .ready
            job.work = 0
            job.target.sectors = disks[job.disk]?.sectors ?? []
            world.libvirt.jobBecameReady(domain, job)
        case .ready: break
        case .pivoting: end(job, .pivoted)
        case .cancelling: end(job, .cancelled)
        }
    }

    /// `job-complete`
    func pivot(_ job: SimJob) {
        reset(job, .pivoting, work: loop.pick(1 * .millisecond...60 * .millisecond))
    }

    /// `block-job-cancel`
    func cancel(_ job: SimJob, isForced: Bool = false) {
        let hasNothingInFlight = job.state == .copying || job.isSynchronous
        if hasNothingInFlight, !isForced, job.target.isHung, loop.chance(50) { frozenBy = job.target }
        let isLong = job.state == .ready && isBusy && !isForced
        let work = isLong ? cancelTime ?? 5 * .millisecond : 5 * .millisecond
        if isForced, yank(job) { return }
        reset(job, .cancelling, work: work)
    }

    /// Closes the socket under requests that hang in an NBD server: the job or pivot fails, and the guest goes on.
    @discardableResult
    func yank(_ job: SimJob) -> Bool {
        guard job.target.isHung, job.target.kind == .nbd, !isStalled else { return false }
        end(job, job.state == .cancelling ? .cancelled : .failed("Input/output error"))
        return true
    }

    private func reset(_ job: SimJob, _ state: SimJob.State, work: SimLoop.Time) {
        loop.cancel(job.timer)
        job.timer = nil
        job.state = state
        job.work = work
        update()
    }

    /// The destination has begun to fail.
    func fail(_ volume: SimVolume) {
        for job in jobs.values.sorted(by: { $0.number < $1.number }) where job.target === volume {
            guard let trouble = volume.trouble, job.state == .copying || job.state == .ready else { continue }
            loop.after(10 * .millisecond) { [self] in
                if jobs[job.disk] === job, job.state != .cancelling { end(job, .failed(trouble)) }
            }
        }
    }

    private func end(_ job: SimJob, _ end: SimJob.End) {
        jobs[job.disk] = nil
        loop.cancel(job.timer)
        if end == .pivoted {
            job.target.sectors = disks[job.disk]?.sectors ?? []
            disks[job.disk] = job.target
            world.checks.pivoted(domain, job)
        }
        world.note(domain.name, "QEMU's job on \(job.disk) ended: \(end)")
        world.moment(end == .pivoted ? .pivoted : .jobEnded, domain)
        write()
        world.libvirt.jobEnded(domain, job, end)
    }

    /// Cursor and end, as reported by `query-block-jobs`.
    func progress(_ job: SimJob) -> (cursor: Int64, end: Int64) {
        let size = job.slice ?? job.target.bytes
        guard job.state == .copying else {
            guard isBusy, pausedBy == nil else { return (size, size) }
            // Guest writes add to both and are in flight; they stop with the destination.
            let written = (job.heldAt ?? loop.now) / (50 * .millisecond) * 65536
            return (size + written - 65536, size + written)
        }
        if job.isOutrun, !job.isSynchronous {
            let written = (job.heldAt ?? loop.now) / (50 * .millisecond) * 65536
            return (written, written + size / 2)
        }
        let done = job.total - max(0, job.work - (job.timer == nil ? 0 : loop.now - job.since))
        let cursor = Int64(Double(size) * Double(done) / Double(job.total))
        return (min(cursor, size - 65536), size)
    }
}
