import Testing
package import VolumeSwap

/// What every ``Hypervisor`` must do, whether libvirt, simulated or a fake: one case per promise.
package enum HypervisorCheck: String, CaseIterable, Sendable {
    case domainsAreFoundByUUIDAndName
    case unknownDomainsAreReported
    case theDiskIsDescribed
    case metadataIsKeptUntilRemoved
    case definitionsComeAndGo
    case withoutACopyNothingIsEnded
    case aCopyIsPivoted
    case aCopyIsCancelled
    case aDiskHasOneCopy
    case aCopyIsMadeSynchronous
    case theGuestsRequestsAreCounted
    case rebaseNeedsATransientDomain
    case aMailboxHearsOnce
    case aGuestIsPausedAndResumed
    case everyFeatureHasAnAnswer

    /// The checks that libvirt's test driver can answer: it has no block jobs, and undefines no domain that keeps its NVRAM.
    package static let withoutQEMU: [HypervisorCheck] = [
        .domainsAreFoundByUUIDAndName, .unknownDomainsAreReported, .theDiskIsDescribed, .metadataIsKeptUntilRemoved,
        .aGuestIsPausedAndResumed, .everyFeatureHasAnAnswer,
    ]

    /// A hypervisor with one running, persistent domain.
    package struct Subject: Sendable {
        var hypervisor: any Hypervisor
        var domain: DomainIdentity
        /// The target of the disk to copy.
        var disk: String
        /// The volume that the disk is on.
        var old: VolumeLocation
        /// Starts a copy onto a raw volume of the same size, without limits.
        var copy: BlockCopy
        /// The same by `virDomainBlockRebase`.
        var rebase: RebaseCopy

        package init(
            _ hypervisor: any Hypervisor, domain: DomainIdentity, disk: String, old: VolumeLocation, copy: BlockCopy,
            rebase: RebaseCopy
        ) {
            self.hypervisor = hypervisor
            self.domain = domain
            self.disk = disk
            self.old = old
            self.copy = copy
            self.rebase = rebase
        }
    }

    /// Leaves a real domain as it was, except the disk of ``aCopyIsPivoted``, which then is on the new volume.
    package func run(on subject: Subject) async throws {
        switch self {
        case .domainsAreFoundByUUIDAndName: try await subject.domainsAreFound()
        case .unknownDomainsAreReported: try await subject.unknownDomains()
        case .theDiskIsDescribed: try await subject.description()
        case .metadataIsKeptUntilRemoved: try await subject.metadata()
        case .definitionsComeAndGo: try await subject.definitions()
        case .withoutACopyNothingIsEnded: try await subject.noCopy()
        case .aCopyIsPivoted: try await subject.pivot()
        case .aCopyIsCancelled: try await subject.cancel()
        case .aDiskHasOneCopy: try await subject.oneCopy()
        case .aCopyIsMadeSynchronous: try await subject.synchronousWrites()
        case .theGuestsRequestsAreCounted: try await subject.statistics()
        case .rebaseNeedsATransientDomain: try await subject.transientDomain()
        case .aMailboxHearsOnce: try await subject.mailbox()
        case .aGuestIsPausedAndResumed: try await subject.pause()
        case .everyFeatureHasAnAnswer: try await subject.features()
        }
    }
}

extension HypervisorCheck.Subject {
    private static let unknown = DomainIdentity(uuid: "00000000-0000-4000-8000-0000000000ff", name: "nobody")

    func domainsAreFound() async throws {
        let byUUID = try await hypervisor.lookup(InstanceReference(uuid: domain.uuid, name: nil))
        #expect(byUUID.uuid == domain.uuid)
        #expect(try await hypervisor.lookup(InstanceReference(uuid: nil, name: domain.name)).uuid == domain.uuid)
        // An unknown UUID falls back to the name.
        let both = InstanceReference(uuid: Self.unknown.uuid, name: domain.name)
        #expect(try await hypervisor.lookup(both).uuid == domain.uuid)
        #expect(try await hypervisor.status(domain).isActive)
        #expect(try await hypervisor.status(domain).isPersistent)
    }

    func unknownDomains() async throws {
        let reference = InstanceReference(uuid: Self.unknown.uuid, name: nil)
        await refused(.noDomain) { _ = try await hypervisor.lookup(reference) }
        await refused(.noDomain) { _ = try await hypervisor.status(Self.unknown) }
        await refused(.noDomain) { _ = try await hypervisor.xml(Self.unknown, .live) }
    }

    func description() async throws {
        for view in [XMLView.live, .inactive] {
            let read = try DomainDescription(xml: try await hypervisor.xml(domain, view))
            #expect(read.uuid == domain.uuid)
            #expect(read.disk(disk)?.location == old)
            #expect(read.disk(disk)?.mirror == nil)
            #expect(try await hypervisor.description(domain, view) == read)
        }
        let listed = try await hypervisor.domains().filter { $0.uuid == domain.uuid && $0.isLive }
        #expect(listed.map { $0.disk(disk)?.location } == [old])
    }

    func metadata() async throws {
        #expect(try await hypervisor.recoveryMetadata(domain) == nil)
        try await hypervisor.setRecoveryMetadata(domain, "<swap task='t-1'/>")
        #expect(try await hypervisor.recoveryMetadata(domain)?.contains("t-1") == true)
        try await hypervisor.setRecoveryMetadata(domain, nil)
        #expect(try await hypervisor.recoveryMetadata(domain) == nil)
        // Removing missing metadata is not an error.
        try await hypervisor.setRecoveryMetadata(domain, nil)
    }

    func definitions() async throws {
        let stored = try await hypervisor.xml(domain, .inactive)
        try await hypervisor.undefine(domain)
        #expect(try await hypervisor.status(domain).isActive)
        #expect(try await !hypervisor.status(domain).isPersistent)
        await refused(.operationInvalid) { try await hypervisor.undefine(domain) }
        try await hypervisor.define(xml: stored)
        #expect(try await hypervisor.status(domain).isPersistent)
        #expect(try await DomainDescription(xml: hypervisor.xml(domain, .inactive)).disk(disk)?.location == old)
    }

    func noCopy() async throws {
        #expect(try await hypervisor.blockJobInfo(domain, disk: disk) == nil)
        for pivot in [false, true] {
            let error = await #expect(throws: HypervisorError.self) {
                try await hypervisor.blockJobAbort(domain, disk: disk, pivot: pivot)
            }
            #expect(error?.isPassing == false)
        }
        #expect(try await live()?.location == old)
    }

    func pivot() async throws {
        let events = try await startCopy()
        #expect(try await hypervisor.blockJobInfo(domain, disk: disk)?.isCopy == true)
        await wait(for: .ready, in: events)
        let copying = try await live()
        #expect(copying?.location == old)
        #expect(copying?.mirror?.location == copy.destination.location)
        #expect(copying?.mirror?.ready == "yes")
        try await hypervisor.blockJobAbort(domain, disk: disk, pivot: true)
        await wait(for: .completed, in: events)
        #expect(try await hypervisor.blockJobInfo(domain, disk: disk) == nil)
        #expect(try await live()?.location == copy.destination.location)
        #expect(try await live()?.mirror == nil)
        // TRANSIENT_JOB: the stored configuration follows.
        #expect(
            try await DomainDescription(xml: hypervisor.xml(domain, .inactive)).disk(disk)?.location == copy.destination.location)
        events.close()
    }

    func cancel() async throws {
        let events = try await startCopy()
        await wait(for: .ready, in: events)
        try await hypervisor.blockJobAbort(domain, disk: disk, pivot: false)
        await wait(for: .canceled, in: events)
        #expect(try await hypervisor.blockJobInfo(domain, disk: disk) == nil)
        #expect(try await live()?.location == old)
        #expect(try await live()?.mirror == nil)
        events.close()
    }

    func oneCopy() async throws {
        let events = try await startCopy()
        await wait(for: .ready, in: events)
        await refused(.notReady) { try await hypervisor.blockCopy(domain, disk: disk, copy) }
        try await hypervisor.blockJobAbort(domain, disk: disk, pivot: false)
        await wait(for: .canceled, in: events)
        events.close()
    }

    func features() async throws {
        let before = try await hypervisor.status(domain)
        let features = try await hypervisor.features()
        for feature in HypervisorFeature.allCases {
            #expect(features[feature].isSupported != nil && features[feature].basis != nil, "\(feature)")
        }
        #expect(try await hypervisor.features() == features)
        #expect(try await hypervisor.status(domain) == before)
    }

    func synchronousWrites() async throws {
        let features = try await hypervisor.features()
        let isPossible = [HypervisorFeature.synchronousWrites, .writeBlocking].allSatisfy { features[$0].isSupported == true }
        let obstacle = try await hypervisor.obstacleToSynchronousWrites(of: domain)
        #expect((obstacle == nil) == isPossible, "\(obstacle ?? "")")
        let error = await #expect(throws: HypervisorError.self) {
            try await hypervisor.makeCopySynchronous(domain, disk: disk)
        }
        #expect(error?.isPassing == false)
        let events = try await startCopy()
        await wait(for: .ready, in: events)
        do {
            for _ in 0..<2 { try await hypervisor.makeCopySynchronous(domain, disk: disk) }
        } catch {
            #expect(error.code == .unsupported)
        }
        #expect(try await hypervisor.blockJobInfo(domain, disk: disk)?.isCopy == true)
        try await hypervisor.blockJobAbort(domain, disk: disk, pivot: false)
        await wait(for: .canceled, in: events)
        events.close()
    }

    func statistics() async throws {
        let before = try await hypervisor.blockStatistics(domain, disk: disk)
        let after = try await hypervisor.blockStatistics(domain, disk: disk)
        #expect(before.requests >= 0 && before.nanoseconds >= 0)
        #expect(after.requests >= before.requests && after.nanoseconds >= before.nanoseconds)
        let error = await #expect(throws: HypervisorError.self) {
            _ = try await hypervisor.blockStatistics(Self.unknown, disk: disk)
        }
        #expect(error?.isPassing == false)
    }

    func transientDomain() async throws {
        await refused(.operationInvalid) { try await hypervisor.blockRebase(domain, disk: disk, rebase) }
        let stored = try await hypervisor.xml(domain, .inactive)
        try await hypervisor.undefine(domain)
        let events = HypervisorEvents()
        try await hypervisor.subscribe(events, to: domain)
        try await hypervisor.blockRebase(domain, disk: disk, rebase)
        await wait(for: .ready, in: events)
        try await hypervisor.blockJobAbort(domain, disk: disk, pivot: false)
        await wait(for: .canceled, in: events)
        events.close()
        try await hypervisor.define(xml: stored)
    }

    func mailbox() async throws {
        let (events, closed) = (HypervisorEvents(), HypervisorEvents())
        try await hypervisor.subscribe(closed, to: domain)
        closed.close()
        try await hypervisor.subscribe(events, to: domain)
        try await hypervisor.subscribe(events, to: domain)
        try await hypervisor.blockCopy(domain, disk: disk, copy)
        await wait(for: .ready, in: events)
        try await hypervisor.blockJobAbort(domain, disk: disk, pivot: false)
        // A second subscription would deliver a second `ready` before this.
        #expect(await next(in: events) == .canceled)
        #expect(await closed.next() == nil)
        events.close()
    }

    func pause() async throws {
        #expect(try await hypervisor.guestState(domain) == .running)
        // A guest that runs already is left alone.
        try await hypervisor.resume(domain)
        #expect(try await hypervisor.guestState(domain) == .running)
        try await hypervisor.suspend(domain)
        #expect(try await hypervisor.guestState(domain) == .pausedOnRequest)
        // Also in a cancelled task, such as that of a group pivot when pivotd stops.
        let cancelled = Task { [hypervisor, domain] in
            while !Task.isCancelled { await Task.yield() }
            try await hypervisor.resume(domain)
        }
        cancelled.cancel()
        try await cancelled.value
        #expect(try await hypervisor.guestState(domain) == .running)
        await refused(.noDomain) { _ = try await hypervisor.guestState(Self.unknown) }
    }

    private func startCopy() async throws -> HypervisorEvents {
        let events = HypervisorEvents()
        try await hypervisor.subscribe(events, to: domain)
        try await hypervisor.blockCopy(domain, disk: disk, copy)
        return events
    }

    private func live() async throws -> DiskDescription? {
        try await hypervisor.description(domain, .live).disk(disk)
    }

    private func next(in events: HypervisorEvents) async -> BlockJobStatus? {
        for await event in events {
            if case .blockJob(disk, let status, _) = event { return status }
        }
        return nil
    }

    private func wait(for status: BlockJobStatus, in events: HypervisorEvents) async {
        let next = await next(in: events)
        #expect(next == status)
    }

    private func refused(_ code: HypervisorError.Code, _ call: () async throws -> Void) async {
        let error = await #expect(throws: HypervisorError.self) { try await call() }
        #expect(error?.code == code)
    }
}
