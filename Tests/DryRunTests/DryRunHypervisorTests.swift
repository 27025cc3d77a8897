import Foundation
import JSON
import Settings
import Synchronization
import Testing

@testable import DryRun
@testable import VolumeSwap

struct DryRunHypervisorTests {
    static let uuid = "5a9c2a6c-1f2b-4b5e-9f7a-0d6f6f1f0c11"
    private let domain = DomainIdentity(uuid: uuid, name: "instance-5a9c2a6c")
    private let new = VolumeSource(location: .block("/dev/disk/by-id/new"), format: "raw")

    private func request(
        old: String = "/v/old", new: String = "/dev/disk/by-id/new", resizeTo: Int64 = 0, uuid: String = uuid
    ) throws -> SwapRequest {
        func connection(_ path: String) -> JSONValue {
            ["driver_volume_type": "local", "data": ["device_path": .string(path)], "serial": .string("id-of-\(path)")]
        }
        return try SwapRequest(
            args: [
                "instance": .string(uuid), "old_connection_info": connection(old), "new_connection_info": connection(new),
                "mountpoint": "/dev/vdb", "resize_to": .integer(resizeTo),
            ], defaults: SwapOptions())
    }

    private func hypervisor(_ query: String = "") throws -> DryRunHypervisor {
        let hypervisor = try DryRunHypervisor(options: DryRunOptions(uri: "dry-run:?\(query)"))
        hypervisor.expect(try request())
        return hypervisor
    }

    private func copy(_ hypervisor: DryRunHypervisor, bandwidth: Int64 = 0) async throws -> HypervisorEvents {
        let events = HypervisorEvents()
        try await hypervisor.subscribe(events, to: domain)
        let copy = BlockCopy(
            destination: new, sliceBytes: nil, bandwidth: bandwidth, granularity: 0, bufferSize: 0, synchronousWrites: false)
        try await hypervisor.blockCopy(domain, disk: "vdb", copy)
        return events
    }

    /// The disk as the XML shows it, and the short cut around the XML must.
    private func disk(_ hypervisor: DryRunHypervisor, _ view: XMLView) async throws -> DiskDescription? {
        let description = try DomainDescription(xml: try await hypervisor.xml(domain, view))
        #expect(try await hypervisor.description(domain, view) == description)
        return description.disk("vdb")
    }

    private func statuses(_ events: HypervisorEvents, _ count: Int) async -> [BlockJobStatus] {
        var found: [BlockJobStatus] = []
        for await event in events {
            if case .blockJob("vdb", let status, _) = event { found.append(status) }
            if found.count == count { break }
        }
        return found
    }

    /// Ends the copy and waits until it has ended, as its event says.
    private func end(_ hypervisor: DryRunHypervisor, pivot: Bool, _ events: HypervisorEvents) async throws {
        try await hypervisor.blockJobAbort(domain, disk: "vdb", pivot: pivot)
        let last: BlockJobStatus = pivot ? .completed : .canceled
        for await event in events {
            if case .blockJob("vdb", last, _) = event { return }
        }
    }

    private func refusal(_ body: () async throws -> Void) async -> HypervisorError? {
        await #expect(throws: HypervisorError.self) { try await body() }
    }

    @Test func anInstanceHasTheDiskThatTheMessageNames() async throws {
        let hypervisor = try hypervisor()
        #expect(try await hypervisor.lookup(InstanceReference(uuid: Self.uuid, name: nil)) == domain)
        #expect(try await hypervisor.status(domain) == DomainStatus(isActive: true, isPersistent: true))
        let live = try #require(try await disk(hypervisor, .live))
        #expect(live.location == .file("/v/old"))
        #expect(live.serial == "id-of-/v/old")
        #expect(try await disk(hypervisor, .inactive) == live)
        #expect(try await hypervisor.capacity(domain, disk: "vdb") == 1 << 30)
        #expect(try await hypervisor.inspect(path: "/dev/x")?.kind == .block)
        #expect(try await hypervisor.inspect(path: "/v/old")?.bytes == 1 << 30)
        #expect(try await hypervisor.blockJobInfo(domain, disk: "vdb") == nil)
        #expect(await refusal { _ = try await hypervisor.capacity(domain, disk: "vdc") }?.message.contains("vdc") == true)
    }

    @Test func aCopyInNoTimeGoesThroughReadyAndPivot() async throws {
        let hypervisor = try hypervisor()
        let events = try await copy(hypervisor, bandwidth: 1)
        #expect(await statuses(events, 1) == [.ready])
        let job = try #require(try await hypervisor.blockJobInfo(domain, disk: "vdb"))
        #expect(job.remaining == 0)
        #expect(job.end == 1 << 30)
        let copying = try #require(try await disk(hypervisor, .live))
        #expect(copying.mirror?.ready == "yes")
        #expect(copying.mirror?.location == new.location)
        #expect(copying.location == .file("/v/old"))
        #expect(try await disk(hypervisor, .inactive)?.mirror == nil)
        try await end(hypervisor, pivot: true, events)
        #expect(try await disk(hypervisor, .live)?.location == new.location)
        #expect(try await disk(hypervisor, .live)?.mirror == nil)
        #expect(try await disk(hypervisor, .inactive)?.location == new.location)
        #expect(try await hypervisor.blockJobInfo(domain, disk: "vdb") == nil)
    }

    @Test func aRateTakesItsTime() async throws {
        let hypervisor = try hypervisor("rate=10240")
        let events = try await copy(hypervisor)
        #expect(try await disk(hypervisor, .live)?.mirror?.ready == nil)
        let early = await refusal { try await hypervisor.blockJobAbort(domain, disk: "vdb", pivot: true) }
        #expect(early?.code == .notReady)
        #expect(early?.number == 83)
        #expect(await statuses(events, 1) == [.ready])
        try await end(hypervisor, pivot: true, events)
    }

    @Test func anEndIsAskedForOnce() async throws {
        let hypervisor = try hypervisor()
        _ = try await copy(hypervisor)
        try hypervisor.state.withLock { state in
            // As it is between the answer and the event.
            let index = try #require(state.domains[Self.uuid]?.index("vdb"))
            state.domains[Self.uuid]?.disks[index].copy?.ending = .pivot
        }
        #expect(try await disk(hypervisor, .live)?.mirror?.ready == "pivot")
        #expect(try await hypervisor.blockJobInfo(domain, disk: "vdb")?.isCopy == true)
        let again = await refusal { try await hypervisor.blockJobAbort(domain, disk: "vdb", pivot: false) }
        #expect(again?.code == .stillEnding)
        #expect(again?.message.contains("still being ended") == true)
    }

    @Test func theSpeedCanBeChanged() async throws {
        let hypervisor = try hypervisor("rate=10240")
        let events = try await copy(hypervisor, bandwidth: 1 << 20)
        let before = try #require(try await hypervisor.blockJobInfo(domain, disk: "vdb"))
        #expect(before.remaining > 1 << 29)
        try await hypervisor.blockJobSetSpeed(domain, disk: "vdb", bytesPerSecond: 0)
        #expect(await statuses(events, 1) == [.ready])
        #expect(try await hypervisor.blockJobInfo(domain, disk: "vdb")?.remaining == 0)
    }

    @Test func anAbortLeavesTheOldVolume() async throws {
        let hypervisor = try hypervisor("rate=1")
        let events = try await copy(hypervisor)
        #expect(await refusal { _ = try await copy(hypervisor) }?.number == 83)
        try await hypervisor.blockJobAbort(domain, disk: "vdb", pivot: false)
        #expect(await statuses(events, 1) == [.canceled])
        #expect(try await disk(hypervisor, .live)?.location == .file("/v/old"))
        #expect(await refusal { try await hypervisor.blockJobAbort(domain, disk: "vdb", pivot: false) }?.number == 8)
        #expect(
            await refusal { try await hypervisor.blockJobSetSpeed(domain, disk: "vdb", bytesPerSecond: 1) }?.number == 8)
    }

    @Test func aRebaseNeedsATransientDomainAndLeavesTheDefinitionAlone() async throws {
        let hypervisor = try hypervisor()
        let rebase = RebaseCopy(path: "/dev/disk/by-id/new", bandwidth: 0, isBlockDevice: true, isRaw: true)
        let error = await refusal { try await hypervisor.blockRebase(domain, disk: "vdb", rebase) }
        #expect(error?.code == .operationInvalid)
        #expect(error?.message.contains("domain is not transient") == true)

        let saved = try await hypervisor.xml(domain, .inactive)
        try await hypervisor.setRecoveryMetadata(domain, "<swap/>")
        try await hypervisor.undefine(domain)
        #expect(try await hypervisor.status(domain).isPersistent == false)
        #expect(await refusal { try await hypervisor.undefine(domain) }?.code == .operationInvalid)
        #expect(try await hypervisor.recoveryMetadata(domain) == "<swap/>")
        let events = HypervisorEvents()
        try await hypervisor.subscribe(events, to: domain)
        try await hypervisor.blockRebase(domain, disk: "vdb", rebase)
        try await end(hypervisor, pivot: true, events)
        #expect(try await disk(hypervisor, .live)?.location == new.location)
        let stored = try DomainXML.settingSource(saved, disk: "vdb", to: new)
        try await hypervisor.define(xml: stored)
        #expect(try await hypervisor.status(domain).isPersistent)
        #expect(try await hypervisor.xml(domain, .inactive) == stored)
        #expect(try await disk(hypervisor, .inactive)?.location == new.location)
        #expect(await refusal { try await hypervisor.define(xml: "<no") }?.number == 27)
    }

    @Test func eachStepFailsByItsRule() async throws {
        func fails(_ rule: String, _ body: (DryRunHypervisor) async throws -> Void) async throws -> HypervisorError? {
            let hypervisor = try hypervisor("fail=instance:\(Self.uuid),\(rule)")
            return await refusal { try await body(hypervisor) }
        }
        let reference = InstanceReference(uuid: Self.uuid, name: nil)
        #expect(try await fails("lookup") { _ = try await $0.lookup(reference) }?.code == .noDomain)
        #expect(try await fails("off") { _ = try await $0.capacity(domain, disk: "vdb") }?.code == .operationInvalid)
        #expect(try await fails("undefine") { try await $0.undefine(domain) }?.code == .other)
        #expect(try await fails("define") { try await $0.define(xml: try await $0.xml(domain, .inactive)) }?.code == .other)
        #expect(try await fails("start") { _ = try await copy($0) }?.message.contains("blockdev-mirror") == true)
        #expect(try await fails("grow") { try await $0.grow(domain, disk: "vdb", toBytes: 2 << 30) }?.code == .other)
        let pivot = try await fails("pivot") {
            _ = try await copy($0)
            try await $0.blockJobAbort(domain, disk: "vdb", pivot: true)
        }
        #expect(pivot?.message.contains("job-complete") == true)
    }

    @Test func aCopyBreaksOffWithItsCause() async throws {
        for rate in ["", "&rate=20480"] {
            let hypervisor = try hypervisor("fail=volume:disk/by-id/new,disk:vdb\(rate)")
            let events = try await copy(hypervisor)
            let iterator = events.makeAsyncIterator()
            guard case .jobError("vdb", let message) = await iterator.next() else {
                Issue.record("no cause")
                return
            }
            #expect(message.hasPrefix("No space left on device"))
            guard case .blockJob("vdb", .failed, _) = await iterator.next() else {
                Issue.record("no end")
                return
            }
            #expect(try await hypervisor.blockJobInfo(domain, disk: "vdb") == nil)
            #expect(try await disk(hypervisor, .live)?.location == .file("/v/old"))
        }
    }

    @Test func aGuestCrashesAndComesBackWithTheNextMessage() async throws {
        let hypervisor = try hypervisor("fail=guest")
        let events = try await copy(hypervisor)
        let iterator = events.makeAsyncIterator()
        guard case .stopped(let reason) = await iterator.next() else {
            Issue.record("the guest did not stop")
            return
        }
        #expect(reason.hasPrefix("crashed"))
        #expect(try await hypervisor.status(domain) == DomainStatus(isActive: false, isPersistent: true))
        hypervisor.expect(try request())
        #expect(try await hypervisor.status(domain).isActive)

        let transient = try self.hypervisor("fail=guest&persistent=no")
        _ = try await copy(transient)
        #expect(await refusal { _ = try await transient.status(domain) }?.code == .noDomain)
    }

    @Test func aMirrorMayNeverBeReadyOrBeLate() async throws {
        let never = try hypervisor("fail=ready")
        _ = try await copy(never)
        #expect(try await never.blockJobInfo(domain, disk: "vdb")?.remaining ?? 0 > 0)
        #expect(await refusal { try await never.blockJobAbort(domain, disk: "vdb", pivot: true) }?.code == .notReady)

        let late = try hypervisor("fail=late")
        _ = try await copy(late)
        for _ in 0..<3 {
            #expect(await refusal { try await late.blockJobAbort(domain, disk: "vdb", pivot: true) }?.code == .notReady)
        }
        try await late.blockJobAbort(domain, disk: "vdb", pivot: true)
    }

    @Test func otherInstancesAreNotMetByARule() async throws {
        let hypervisor = try hypervisor("fail=instance:00000000-0000-4000-8000-000000000000&fail=disk:vdz&fail=share:0")
        #expect(await statuses(try await copy(hypervisor), 1) == [.ready])
    }

    @Test func aVolumeToGrowOntoIsLargeEnough() async throws {
        let hypervisor = try hypervisor()
        hypervisor.expect(try request(resizeTo: 5))
        #expect(try await hypervisor.inspect(path: "/dev/disk/by-id/new")?.bytes == 5 << 30)
        let events = try await copy(hypervisor)
        #expect(try await hypervisor.mirrorCapacity(domain, disk: "vdb") == 5 << 30)
        try await end(hypervisor, pivot: true, events)
        try await hypervisor.grow(domain, disk: "vdb", toBytes: 5 << 30)
        #expect(try await hypervisor.capacity(domain, disk: "vdb") == 5 << 30)
    }

    @Test func aDiskStaysWhereASwapLeftIt() async throws {
        let hypervisor = try hypervisor()
        let events = try await copy(hypervisor)
        try await end(hypervisor, pivot: true, events)
        hypervisor.expect(try request())
        #expect(try await disk(hypervisor, .live)?.location == new.location)
        hypervisor.expect(try request(old: "/v/third"))
        #expect(try await disk(hypervisor, .live)?.location == new.location, "the message's new volume is where it is")
        hypervisor.expect(try request(old: "/v/third", new: "/v/fourth"))
        #expect(try await disk(hypervisor, .live)?.location == .file("/v/third"))
    }

    @Test func anInstanceExistsEvenIfItsRequestDoesNotSayWhereTheOldVolumeIs() async throws {
        let unplaced = try SwapRequest(
            args: [
                "instance": .string(Self.uuid), "old_connection_info": ["driver_volume_type": "rbd", "data": [:]],
                "new_connection_info": ["driver_volume_type": "local", "data": ["device_path": "/v/new"]], "mountpoint": "vdb",
            ], defaults: SwapOptions())
        let fresh = try DryRunHypervisor(options: DryRunOptions(uri: "dry-run:"))
        fresh.expect(unplaced)
        #expect(try await fresh.lookup(InstanceReference(uuid: Self.uuid, name: nil)) == domain)
        #expect(try await disk(fresh, .live) != nil)

        let known = try hypervisor()
        known.expect(unplaced)
        #expect(try await disk(known, .live)?.location == .file("/v/old"), "it is left as it is")
    }

    @Test func onlySoManyDomainsAreRemembered() async throws {
        let hypervisor = try hypervisor("rate=1")
        _ = try await copy(hypervisor)
        for index in 0..<DryRunHypervisor.capacity * 2 {
            let digits = String(index, radix: 16)
            let uuid = "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
            hypervisor.expect(try request(resizeTo: 2, uuid: uuid))
        }
        hypervisor.state.withLock { state in
            #expect(state.domains.count <= DryRunHypervisor.capacity)
            #expect(state.sizes.count <= DryRunHypervisor.capacity + 1)
        }
        #expect(try await hypervisor.blockJobInfo(domain, disk: "vdb") != nil, "a domain with a copy is never forgotten")
        try await hypervisor.blockJobAbort(domain, disk: "vdb", pivot: false)
    }

    @Test func aListSaysWhatThereIs() async throws {
        let path = FileManager.default.temporaryDirectory.path + "/dry-run-\(UUID().uuidString).json"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let text = """
            [{"uuid": "\(Self.uuid)", "name": "web", "disks": [{"target": "vdb", "path": "/v/old", "bytes": 4096}]},
             {"uuid": "00000000-0000-4000-8000-000000000001", "name": "off", "running": false, "persistent": true}]
            """
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        let hypervisor = try DryRunHypervisor(options: DryRunOptions(uri: "dry-run:?domains=\(path)"))
        hypervisor.expect(try request(uuid: "00000000-0000-4000-8000-000000000002"))
        let found = try await hypervisor.lookup(InstanceReference(uuid: nil, name: "web"))
        #expect(found == DomainIdentity(uuid: Self.uuid, name: "web"))
        #expect(try await hypervisor.capacity(found, disk: "vdb") == 4096)
        #expect(
            try await hypervisor.domains().map { "\($0.name) \($0.isLive)" }.sorted() == ["off false", "web false", "web true"])
        let unknown = InstanceReference(uuid: "00000000-0000-4000-8000-000000000002", name: nil)
        #expect(await refusal { _ = try await hypervisor.lookup(unknown) }?.code == .noDomain)

        try Data("[{\"name\": \"x\"}, {\"uuid\": \"\(Self.uuid)\", \"name\": \"y\", \"disks\": [{}]}]".utf8).write(
            to: URL(fileURLWithPath: path))
        let error = #expect(throws: ConfigurationError.self) {
            _ = try DryRunHypervisor(options: DryRunOptions(uri: "dry-run:?domains=\(path)"))
        }
        #expect(error?.problems.count == 2)
        #expect(error?.problems[1].contains("domain 1: path: missing") == true)
    }

    @Test(.timeLimit(.minutes(10))) func aThousandSwapsGoThrough() async throws {
        let hypervisor = try hypervisor()
        for _ in 0..<1000 {
            hypervisor.expect(try request())
            let events = try await copy(hypervisor)
            try await end(hypervisor, pivot: true, events)
            events.close()
        }
        #expect(try await disk(hypervisor, .live)?.location == new.location)
    }
}
