import Synchronization

@testable import VolumeSwap

/// A scripted hypervisor with one domain, which records the calls that change something.
final class FakeHypervisor: Hypervisor {
    /// The calls that can be made to fail.
    enum Call: String, CaseIterable, Sendable {
        case lookup, status, xml, define, undefine, save, setMetadata, metadata, rebase, copy, jobInfo, abort, pivot, setSpeed,
            change,
            statistics, capacity
        case grow, mirrorBack, domains, subscribe, secret, makeSecret, removeSecret, inspect, hostUse, guestState, suspend, resume
    }

    struct Trouble: Sendable {
        var error: HypervisorError
        /// The call was carried out but its answer lost.
        var isDone = false
    }

    struct State {
        var isKnown = true
        var status = DomainStatus(isActive: true, isPersistent: true)
        var saved = SavedStates()
        var guest = GuestState.running
        var liveSource = Fixture.oldPath
        var storedSource: String? = Fixture.oldPath
        var format = "raw"
        /// More of the disk's element: its attributes, and what is inside and beside its source.
        var diskAttributes = "type='file' device='disk'"
        /// The attributes of the live disk's source, if it is not ``liveSource``.
        var place: String?
        var inSource = ""
        var besideSource = ""
        /// Whether the running domain has the disk.
        var isPlugged = true
        /// Whether the stored configuration has the disk.
        var isDiskStored = true
        var mirror: (path: String, isReady: Bool)?
        var mirrorFormat = "raw"
        var job: BlockJobInfo?
        /// `pivot` or `abort`, if the job is being ended.
        var isEnding: String?
        var isAutostarted = false
        /// The destination takes no writes.
        var isStuck = false
        /// Whether QEMU can change a running copy, and the last copy's synchronous writes.
        var canChange = true
        var isSynchronous = false
        var obstacleToSynchronousWrites: String?
        /// The end of the next copy.
        var copyEnd = 64 * Fixture.mebibyte
        /// The guest's counters, and by how much each query raises them.
        var statistics = DiskStatistics(requests: 0, nanoseconds: 0)
        var work = DiskStatistics(requests: 0, nanoseconds: 0)
        /// Number of job queries before ``afterLook`` happens.
        var looksLeft = 0
        /// QEMU has pivoted without libvirt's knowledge.
        var hasPivotedUnnoticed: Bool? = false
        var metadata: String?
        /// Which of the guest's lives this is.
        var life: String? = "first"
        /// Calls of this kind wait until this changes, or their task is cancelled.
        var hanging: Call?
        /// Happens to the domain when its metadata is next set.
        var onMetadata: (@Sendable (inout State) -> Void)?
        var capacity = 64 * Fixture.mebibyte
        var paths: [String: PathDescription] = [:]
        /// The window in bytes that the last copy was shown.
        var slice: Int64?
        /// Payload offsets of LUKS volumes.
        var headers: [String: Int64] = [:]
        /// Sizes in the qcow2 headers of paths.
        var imageBytes: [String: Int64] = [:]
        /// UUIDs in the LUKS headers of paths.
        var luksUUIDs: [String: String] = [:]
        /// Paths whose headers cannot be read.
        var headerErrors: [String: HypervisorError] = [:]
        /// Paths that never answer, and paths that answer with an error.
        var hungPaths: Set<String> = []
        var brokenPaths: [String: String] = [:]
        /// Block devices that the host has mounted.
        var heldPaths: Set<String> = []
        /// What the host has over them.
        var holders: [String: [String]] = [:]
        /// Files of loop devices and swap space.
        var filesInUse: [HostFile] = []
        /// Block devices that may be network volumes, by protocol.
        var hostDevices: [String: [String]] = [:]
        /// Disks by their SCSI address; one that cannot be read has none.
        var scsiDisks: [String: String?] = [:]
        /// What is below images.
        var backingFiles: [String: BackingAnswer] = [:]
        var addresses: [String: [String]] = [:]
        /// Every path that was examined, opened or checked for use by the host.
        var touches: [String] = []
        var others: [DomainDescription] = []
        var secrets: [String: String] = [:]
        /// Values of secrets, by UUID.
        var secretValues: [String: String] = [:]
        /// From this call of `domains` on, configurations cannot be read.
        var domainsFailFrom: Int?
        var domainsCalls = 0
        var troubles: [Call: [Trouble]] = [:]
        var log: [String] = []
        var events: [HypervisorEvents] = []
        var speed: Int64?
        var isOnThisHost = true
        var isConnected = true
        var definitions: [String] = []
        /// Happens once, right after the next job query, or `looksLeft` queries later.
        var afterLook: (@Sendable (FakeHypervisor) -> Void)?

        mutating func takeAfterLook() -> (@Sendable (FakeHypervisor) -> Void)? {
            guard looksLeft == 0 else {
                looksLeft -= 1
                return nil
            }
            defer { afterLook = nil }
            return afterLook
        }
    }

    let kind = "fake"
    var isOnThisHost: Bool { state.withLock { $0.isOnThisHost } }
    var isConnected: Bool { state.withLock { $0.isConnected } }
    /// The target of its disk.
    let disk: String
    /// More of its devices as XML.
    let beside: @Sendable (XMLView) -> String
    let state = Mutex(State())
    /// What a started copy does; by default it is in sync at once.
    let onCopy: @Sendable (FakeHypervisor) -> Void
    /// What a pivot does; by default it succeeds.
    let onPivot: @Sendable (FakeHypervisor) throws(HypervisorError) -> Void

    /// What a changed copy does; by default it is in sync at once.
    let onChange: @Sendable (FakeHypervisor) -> Void
    /// Whether a cancel ends the copy, and whether force does.
    let cancels: Bool
    let forces: Bool

    private let (hangs, hang) = AsyncStream<Void>.makeStream()

    init(
        onCopy: @escaping @Sendable (FakeHypervisor) -> Void = { $0.post(.ready) },
        onPivot: @escaping @Sendable (FakeHypervisor) throws(HypervisorError) -> Void = { hypervisor throws(HypervisorError) in
            hypervisor.finishPivot()
        }, cancels: Bool = true, forces: Bool = false, disk: String = "vdb",
        beside: @escaping @Sendable (XMLView) -> String = { _ in "" },
        onChange: @escaping @Sendable (FakeHypervisor) -> Void = { hypervisor in
            if hypervisor.state.withLock({ $0.mirror?.isReady == false }) { hypervisor.post(.ready) }
        }
    ) {
        self.disk = disk
        self.beside = beside
        self.onChange = onChange
        self.cancels = cancels
        self.forces = forces
        self.onCopy = onCopy
        self.onPivot = onPivot
        set(Fixture.oldPath)
        set(Fixture.newPath)
    }

    // MARK: The script

    func set(
        _ path: String, kind: PathDescription.Kind = .file, canonical: String? = nil, bytes: Int64? = nil, device: UInt64? = nil
    ) {
        let size = bytes ?? 64 * Fixture.mebibyte
        let place = PathDescription(
            kind: kind, bytes: size, canonicalPath: canonical ?? path, names: [path], deviceNumber: device)
        state.withLock { $0.paths[path] = place }
    }

    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    /// Makes something happen after this many more job queries.
    func onLooks(_ count: Int, _ then: @escaping @Sendable (FakeHypervisor) -> Void) {
        change { ($0.looksLeft, $0.afterLook) = (count - 1, then) }
    }

    func onMetadata(_ then: @escaping @Sendable (inout State) -> Void) { change { $0.onMetadata = then } }

    /// Returns once a call hangs.
    func untilHanging() async { for await _ in hangs { return } }

    /// Waits while calls of this kind hang.
    func pass(_ call: Call) async throws(HypervisorError) {
        guard state.withLock({ $0.hanging == call }) else { return }
        hang.yield()
        while state.withLock({ $0.hanging == call }) {
            if Task.isCancelled { throw HypervisorError(.busy, "given up") }
            await Task.yield()
        }
    }

    /// Makes the next calls fail, with one trouble each.
    func fail(_ call: Call, _ troubles: Trouble...) { state.withLock { $0.troubles[call, default: []] += troubles } }

    var log: [String] { state.withLock { $0.log } }
    func count(_ entry: String) -> Int { log.count { $0.hasPrefix(entry) } }

    func post(_ event: HypervisorEvent) {
        for mailbox in state.withLock({ $0.events }) { mailbox.post(event) }
    }

    /// Ends the copy as libvirt does: the job goes away, then the event arrives.
    func post(_ status: BlockJobStatus) {
        state.withLock { state in
            if status == .ready {
                state.mirror?.isReady = true
                if let end = state.job?.end { state.job?.cursor = end }
            } else {
                state.mirror = nil
                state.job = nil
                state.isEnding = nil
            }
        }
        post(.blockJob(disk: disk, status: status, at: .now))
    }

    /// The state after a pivot. A copy with TRANSIENT_JOB changes the stored configuration too.
    func finishPivot() {
        state.withLock { state in
            guard let mirror = state.mirror else { return }
            state.liveSource = mirror.path
            state.format = state.mirrorFormat
            if state.storedSource != nil { state.storedSource = mirror.path }
            state.mirror = nil
            state.job = nil
            state.isEnding = nil
        }
        post(.blockJob(disk: disk, status: .completed, at: .now))
    }

    func startJob(to path: String, ready: Bool = false, cursor: Int64 = 0) {
        state.withLock { state in
            state.mirror = (path, ready)
            state.job = BlockJobInfo(type: "copy", cursor: cursor, end: 64 * Fixture.mebibyte)
        }
    }

    /// Takes the next trouble of a call. One with a lost answer is thrown after `body`.
    func call<Value>(_ call: Call, _ entry: String? = nil, _ body: (inout State) throws(HypervisorError) -> Value)
        throws(HypervisorError) -> Value
    {
        let result: Result<Value, HypervisorError> = state.withLock { state in
            if let entry { state.log.append(entry) }
            var trouble: Trouble?
            if state.troubles[call]?.isEmpty == false { trouble = state.troubles[call]?.removeFirst() }
            if let trouble, !trouble.isDone { return .failure(trouble.error) }
            do throws(HypervisorError) {
                let value = try body(&state)
                if let trouble { return .failure(trouble.error) }
                return .success(value)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

extension FakeHypervisor {
    /// Another running domain, with a disk on this path.
    func addDomain(using path: String) {
        let xml = Fixture.domainXML(source: path)
        guard var other = try? DomainDescription(xml: xml) else { return }
        other.uuid = "00000000-0000-4000-8000-000000000001"
        other.name = "other"
        change { $0.others.append(other) }
    }
}

extension BlockJobInfo {
    func moved(by bytes: Int64) -> BlockJobInfo {
        BlockJobInfo(type: type, cursor: cursor + bytes, end: end + bytes)
    }
}
