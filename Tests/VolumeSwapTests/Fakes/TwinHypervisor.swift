import Synchronization

@testable import VolumeSwap

/// A scripted hypervisor whose domain has two disks, each scripted by itself.
final class TwinHypervisor: Hypervisor {
    /// The domain, and its disk vdb.
    let one: FakeHypervisor
    /// The disk vdc.
    let two: FakeHypervisor
    let kind = "fake"
    let isOnThisHost = true
    let isConnected = true

    static let oldPath = "/volumes/old-c"
    static let newPath = "/volumes/new-c"

    /// - Parameter onPivot: what a pivot of each disk does.
    init(
        onPivot: @escaping @Sendable (FakeHypervisor) throws(HypervisorError) -> Void = { disk throws(HypervisorError) in
            disk.finishPivot()
        }
    ) {
        let two = FakeHypervisor(onPivot: onPivot, disk: "vdc")
        two.change { ($0.liveSource, $0.storedSource) = (Self.oldPath, Self.oldPath) }
        one = FakeHypervisor(onPivot: onPivot, beside: { two.device($0) })
        self.two = two
        one.set(Self.oldPath)
        one.set(Self.newPath)
    }

    var both: [FakeHypervisor] { [one, two] }

    private func fake(_ disk: String) -> FakeHypervisor { disk == two.disk ? two : one }

    func waitUntilConnected() async {}
    func lookup(_ instance: InstanceReference) async throws(HypervisorError) -> DomainIdentity { try await one.lookup(instance) }
    func status(_ domain: DomainIdentity) async throws(HypervisorError) -> DomainStatus { try await one.status(domain) }
    func savedStates(_ domain: DomainIdentity) async throws(HypervisorError) -> SavedStates { try await one.savedStates(domain) }
    func xml(_ domain: DomainIdentity, _ view: XMLView) async throws(HypervisorError) -> String {
        try await one.xml(domain, view)
    }
    func define(xml: String) async throws(HypervisorError) {
        try await one.define(xml: xml)
        try await two.define(xml: xml)
    }
    func undefine(_ domain: DomainIdentity) async throws(HypervisorError) { try await one.undefine(domain) }
    func saveDefinition(_ domain: DomainIdentity) async throws(HypervisorError) { try await one.saveDefinition(domain) }
    func setRecoveryMetadata(_ domain: DomainIdentity, _ element: String?) async throws(HypervisorError) {
        try await one.setRecoveryMetadata(domain, element)
    }
    func recoveryMetadata(_ domain: DomainIdentity) async throws(HypervisorError) -> String? {
        try await one.recoveryMetadata(domain)
    }
    func guestState(_ domain: DomainIdentity) async throws(HypervisorError) -> GuestState { try await one.guestState(domain) }
    func suspend(_ domain: DomainIdentity) async throws(HypervisorError) { try await one.suspend(domain) }
    func resume(_ domain: DomainIdentity) async throws(HypervisorError) { try await one.resume(domain) }
    func blockRebase(_ domain: DomainIdentity, disk: String, _ copy: RebaseCopy) async throws(HypervisorError) {
        try await fake(disk).blockRebase(domain, disk: disk, copy)
    }
    func blockCopy(_ domain: DomainIdentity, disk: String, _ copy: BlockCopy) async throws(HypervisorError) {
        try await fake(disk).blockCopy(domain, disk: disk, copy)
    }
    func blockJobInfo(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> BlockJobInfo? {
        try await fake(disk).blockJobInfo(domain, disk: disk)
    }
    func blockJobAbort(_ domain: DomainIdentity, disk: String, pivot: Bool) async throws(HypervisorError) {
        try await fake(disk).blockJobAbort(domain, disk: disk, pivot: pivot)
    }
    func blockJobSetSpeed(_ domain: DomainIdentity, disk: String, bytesPerSecond: Int64) async throws(HypervisorError) {
        try await fake(disk).blockJobSetSpeed(domain, disk: disk, bytesPerSecond: bytesPerSecond)
    }
    func blockStatistics(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> DiskStatistics {
        try await fake(disk).blockStatistics(domain, disk: disk)
    }
    func capacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64 {
        try await fake(disk).capacity(domain, disk: disk)
    }
    func mirrorCapacity(_ domain: DomainIdentity, disk: String) async throws(HypervisorError) -> Int64? { nil }
    func grow(_ domain: DomainIdentity, disk: String, toBytes: Int64) async throws(HypervisorError) {
        try await fake(disk).grow(domain, disk: disk, toBytes: toBytes)
    }
    func growSupport(of domain: DomainIdentity) async throws(HypervisorError) -> GrowSupport { .supported }
    func keepsTPMState() async throws(HypervisorError) -> Bool { false }
    func domains() async throws(HypervisorError) -> [DomainDescription] { try await one.domains() }
    func subscribe(_ events: HypervisorEvents, to domain: DomainIdentity) async throws(HypervisorError) {
        try await one.subscribe(events, to: domain)
        two.change { $0.events.append(events) }
    }
    func secret(usageType: SecretUsage, usage: String) async throws(HypervisorError) -> String? { nil }
    func hasSecret(uuid: String) async throws(HypervisorError) -> Bool { false }
    func makeSecret(xml: String, uuid: String, value: [UInt8]) async throws(HypervisorError) {}
    func removeSecret(uuid: String) async throws(HypervisorError) {}
    func inspect(path: String) async throws(HypervisorError) -> PathDescription? { try await one.inspect(path: path) }
    func luksPayloadOffset(path: String) async throws(HypervisorError) -> Int64? { nil }
    func look(at path: String, of owner: PathOwner) async -> PathAnswer { await one.look(at: path, of: owner) }
    func addresses(ofHost name: String) async -> [String] { [name] }
    func isHeldByHost(path: String) async throws(HypervisorError) -> Bool { false }
    func luksUUID(path: String) async throws(HypervisorError) -> String? { nil }
    func hasPassphrase(volumeID: String) async throws(HypervisorError) -> Bool { false }
}
