import Foundation
import Synchronization

@testable import VolumeSwap

extension FakeHypervisor {
    private static let noDomain = HypervisorError(.noDomain, number: 42, "Domain not found")
    private static let noJob = HypervisorError(.other, number: 8, "does not have an active block job")

    func waitUntilConnected() async { change { $0.log.append("wait") } }

    func lookup(_ instance: InstanceReference) async throws(HypervisorError) -> DomainIdentity {
        try await pass(.lookup)
        return try call(.lookup) { state throws(HypervisorError) in
            guard state.isKnown, instance.uuid == Fixture.uuid || instance.name == Fixture.domain.name else {
                throw Self.noDomain
            }
            return Fixture.domain
        }
    }

    func status(_ domain: DomainIdentity) async throws(HypervisorError) -> DomainStatus {
        try await pass(.status)
        return try call(.status) { state throws(HypervisorError) in
            guard state.isKnown, domain.uuid == Fixture.uuid else { throw Self.noDomain }
            return state.status
        }
    }

    func life(_ domain: DomainIdentity) async throws(HypervisorError) -> String? { state.withLock { $0.life } }
    func savedStates(_ domain: DomainIdentity) async throws(HypervisorError) -> SavedStates { state.withLock { $0.saved } }

    func xml(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> String {
        try call(.xml) { state throws(HypervisorError) in
            guard state.isKnown, domain.uuid == Fixture.uuid else { throw Self.noDomain }
            return text(state, view, more: beside(view))
        }
    }

    /// The disk's element alone.
    func device(_ view: XMLView) -> String {
        let domain = state.withLock { text($0, view, more: "") }
        return domain.components(separatedBy: "<devices>")[1].components(separatedBy: "</devices>")[0]
    }

    private func text(_ state: State, _ view: XMLView, more: String) -> String {
        guard view == .live else {
            let (name, uuid) = (Fixture.domain.name, Fixture.uuid)
            guard state.isDiskStored else { return "<domain><name>\(name)</name><uuid>\(uuid)</uuid></domain>" }
            return Fixture.domainXML(
                source: state.storedSource ?? state.liveSource, extra: more, format: state.format, target: disk)
        }
        guard state.isPlugged else {
            return
                "<domain type='qemu'><name>\(Fixture.domain.name)</name><uuid>\(Fixture.uuid)</uuid><devices>\(more)</devices></domain>"
        }
        let mirror = state.mirror.map {
            let ready = state.isEnding ?? ($0.isReady ? "yes" : nil)
            let slices = state.slice.map { "<slices><slice type='storage' offset='0' size='\($0)'/></slices>" } ?? ""
            return "<mirror type='file' job='copy'\(ready.map { " ready='\($0)'" } ?? "")>"
                + "<format type='\(state.mirrorFormat)'/><source file='\($0.path)'>\(slices)</source></mirror>"
        }
        return Fixture.domainXML(
            source: state.liveSource, mirror: (mirror ?? "") + state.besideSource, extra: more, format: state.format,
            attributes: state.diskAttributes, place: state.place, inSource: state.inSource, target: disk)
    }

    func define(xml: String) async throws(HypervisorError) {
        try call(.define, "define") { state throws(HypervisorError) in
            state.definitions.append(xml)
            let disk = (try? DomainDescription(xml: xml))?.disk(self.disk)
            state.storedSource = disk?.location?.path
            state.format = disk?.format ?? state.format
            state.isKnown = true
            state.status.isPersistent = true
        }
    }

    func undefine(_ domain: DomainIdentity) async throws(HypervisorError) {
        try await pass(.undefine)
        try call(.undefine, "undefine") { state throws(HypervisorError) in
            guard state.status.isPersistent else {
                throw HypervisorError(.operationInvalid, number: 55, "cannot undefine transient domain")
            }
            state.status.isPersistent = false
            state.storedSource = nil
            state.isAutostarted = false
        }
    }

    func guestState(_ domain: DomainIdentity) async throws(HypervisorError) -> GuestState {
        try call(.guestState) { state throws(HypervisorError) in
            guard state.isKnown, domain.uuid == Fixture.uuid else { throw Self.noDomain }
            return state.status.isActive ? state.guest : .notRunning
        }
    }

    func suspend(_ domain: DomainIdentity) async throws(HypervisorError) {
        try await pass(.suspend)
        try call(.suspend, "suspend") { state throws(HypervisorError) in
            if state.guest == .running { state.guest = .pausedOnRequest }
        }
    }

    func resume(_ domain: DomainIdentity) async throws(HypervisorError) {
        try await pass(.resume)
        try call(.resume, "resume") { state throws(HypervisorError) in
            if state.guest == .pausedOnRequest { state.guest = .running }
        }
    }

    func saveDefinition(_ domain: DomainIdentity) async throws(HypervisorError) {
        try await pass(.save)
        try call(.save) { _ throws(HypervisorError) in }
    }

    func setRecoveryMetadata(_ domain: DomainIdentity, _ element: String?) async throws(HypervisorError) {
        try await pass(.setMetadata)
        try call(.setMetadata, element == nil ? "clear metadata" : "set metadata") { state throws(HypervisorError) in
            state.metadata = element
            state.onMetadata.take()?(&state)
        }
    }

    func recoveryMetadata(_ domain: DomainIdentity) async throws(HypervisorError) -> String? {
        try call(.metadata) { state throws(HypervisorError) in state.metadata }
    }

    func blockRebase(_ domain: DomainIdentity, disk: String, _ copy: RebaseCopy) async throws(HypervisorError) {
        try await pass(.rebase)
        try starting { () throws(HypervisorError) in
            try call(.rebase, "rebase raw=\(copy.isRaw) dev=\(copy.isBlockDevice)") { state throws(HypervisorError) in
                guard !state.status.isPersistent else {
                    throw HypervisorError(.operationInvalid, number: 55, "domain is not transient")
                }
                try Self.start(&state, copy.path)
                state.speed = copy.bandwidth
                state.mirrorFormat = "raw"
            }
        }
    }

    func blockCopy(_ domain: DomainIdentity, disk: String, _ copy: BlockCopy) async throws(HypervisorError) {
        try await pass(.copy)
        let slice = copy.sliceBytes == nil ? "" : " slice"
        try starting { () throws(HypervisorError) in
            try call(.copy, "copy\(slice)") { state throws(HypervisorError) in
                try Self.start(&state, copy.destination.location.description)
                state.speed = copy.bandwidth
                state.slice = copy.sliceBytes
                state.isSynchronous = copy.synchronousWrites
                state.mirrorFormat = copy.destination.format
            }
        }
    }

    /// A copy has begun even if its answer is lost.
    private func starting(_ body: () throws(HypervisorError) -> Void) throws(HypervisorError) {
        do {
            try body()
        } catch {
            if error.message.hasSuffix("(done)") { onCopy(self) }
            throw error
        }
        onCopy(self)
    }

    private static func start(_ state: inout State, _ path: String) throws(HypervisorError) {
        guard state.job == nil else { throw HypervisorError(.notReady, number: 83, "disk has an active block job") }
        state.mirror = (path, false)
        state.job = BlockJobInfo(type: "copy", cursor: 0, end: state.copyEnd)
    }

    func blockJobInfo(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> BlockJobInfo? {
        let job = try call(.jobInfo) { state throws(HypervisorError) -> BlockJobInfo? in
            guard state.isPlugged else { throw HypervisorError(.other, number: 8, "disk '\(disk)' not found in domain") }
            // A guest that writes as fast as the copy copies.
            if state.mirror?.isReady == false, state.isEnding == nil, !state.isStuck { state.job = state.job?.moved(by: 1) }
            return state.job
        }
        let then = state.withLock { $0.takeAfterLook() }
        then?(self)
        return job
    }

    func blockJobAbort(_ domain: DomainIdentity, disk: String, pivot: Bool) async throws(HypervisorError) {
        guard pivot else {
            // The call is carried out even if its answer is lost.
            defer { if cancels, state.withLock({ $0.isEnding }) == "abort" { post(.canceled) } }
            try call(.abort, "abort") { state throws(HypervisorError) in
                guard state.job != nil else { throw Self.noJob }
                state.isEnding = "abort"
            }
            return
        }
        var lost: HypervisorError?
        do {
            try call(.pivot, "pivot") { state throws(HypervisorError) in if state.job == nil { throw Self.noJob } }
        } catch {
            // The answer is lost; the script decides whether the pivot itself is done.
            guard error.message.hasSuffix("(done)") else { throw error }
            lost = error
        }
        try onPivot(self)
        if let lost { throw lost }
    }

    func forceAbort(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        guard forces else { return }
        change { $0.log.append("force") }
        post(.canceled)
    }

    func isAutostarted(_ domain: DomainIdentity) async throws(HypervisorError) -> Bool { state.withLock { $0.isAutostarted } }
    func setAutostart(_ domain: DomainIdentity) async throws(HypervisorError) { change { $0.isAutostarted = true } }

    func blockJobSetSpeed(_ domain: DomainIdentity, disk: String, bytesPerSecond: Int64) async throws(HypervisorError) {
        try call(.setSpeed, "speed \(bytesPerSecond)") { state throws(HypervisorError) in state.speed = bytesPerSecond }
    }

    func makeCopySynchronous(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        try call(.change, "change") { state throws(HypervisorError) in
            guard state.canChange else { throw HypervisorError(.unsupported, "this QEMU has no block-job-change") }
            guard state.job != nil else { throw Self.noJob }
            state.isSynchronous = true
        }
        onChange(self)
    }

    func obstacleToSynchronousWrites(of domain: DomainIdentity) async throws(HypervisorError) -> String? {
        state.withLock { $0.obstacleToSynchronousWrites }
    }

    func blockStatistics(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> DiskStatistics {
        try await pass(.statistics)
        return try call(.statistics) { state throws(HypervisorError) in
            guard domain.uuid == Fixture.uuid else { throw Self.noDomain }
            state.statistics.requests += state.work.requests
            state.statistics.nanoseconds += state.work.nanoseconds
            return state.statistics
        }
    }

    func capacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64 {
        try call(.capacity) { state throws(HypervisorError) in state.capacity }
    }

    func mirrorCapacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64? { nil }

    func grow(_ domain: DomainIdentity, disk: String, toBytes: Int64) async throws(HypervisorError) {
        try call(.grow, "grow \(toBytes)") { state throws(HypervisorError) in state.capacity = toBytes }
    }

    func hasPivotedUnnoticed(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Bool? {
        state.withLock { $0.hasPivotedUnnoticed }
    }

    func mirrorBack(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) {
        try call(.mirrorBack, "bring back") { state throws(HypervisorError) in state.hasPivotedUnnoticed = false }
    }

    func growSupport(of domain: DomainIdentity) async throws(HypervisorError) -> GrowSupport { .supported }
    func keepsTPMState() async throws(HypervisorError) -> Bool { false }

    func domains() async throws(HypervisorError) -> [DomainDescription] {
        let live = state.withLock { $0.isKnown } ? try await xml(Fixture.domain, .live) : ""
        return try call(.domains) { state throws(HypervisorError) in
            state.domainsCalls += 1
            if let first = state.domainsFailFrom, state.domainsCalls >= first {
                throw HypervisorError(.other, "the configurations cannot be read")
            }
            guard state.isKnown, state.status.isActive, let own = try? DomainDescription(xml: live) else { return state.others }
            return [own] + state.others
        }
    }

    func subscribe(_ events: HypervisorEvents, to domain: DomainIdentity) async throws(HypervisorError) {
        try call(.subscribe) { state throws(HypervisorError) in if events.take() { state.events.append(events) } }
    }

    func secret(usageType: SecretUsage, usage: String) async throws(HypervisorError) -> String? {
        try call(.secret) { state throws(HypervisorError) in state.secrets["\(usageType):\(usage)"] }
    }

    func hasSecret(uuid: String) async throws(HypervisorError) -> Bool {
        try call(.secret) { state throws(HypervisorError) in state.secrets.values.contains(uuid) }
    }

    func makeSecret(xml: String, uuid: String, value: [UInt8]) async throws(HypervisorError) {
        try call(.makeSecret, "make secret") { state throws(HypervisorError) in
            state.secrets["made:\(uuid)"] = uuid
            state.secretValues[uuid] = String(decoding: value, as: UTF8.self)
        }
    }

    func removeSecret(uuid: String) async throws(HypervisorError) {
        try call(.removeSecret, "remove secret") { state throws(HypervisorError) in state.secrets["made:\(uuid)"] = nil }
    }

    func luksPayloadOffset(path: String) async throws(HypervisorError) -> Int64? { state.withLock { $0.headers[path] } }

    func inspect(path: String) async throws(HypervisorError) -> PathDescription? {
        try call(.inspect) { state throws(HypervisorError) in
            state.touches.append("open \(path)")
            return state.paths[path]
        }
    }
}
