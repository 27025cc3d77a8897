import Testing

@testable import Libvirt
@testable import LibvirtHypervisor
@testable import VolumeSwap

@Suite struct KeptDescriptionsTests {
    private static let web = DomainIdentity(uuid: "5a9c2a6c-1f2b-4b5e-9f7a-0d6f6f1f0c11", name: "web")
    private let hub = EventHub()
    private let kept = KeptDescriptions()
    private let askedAt = ContinuousClock.now

    private func keep(_ view: XMLView = .live) throws {
        let xml = """
            <domain type='kvm'><name>\(Self.web.name)</name><uuid>\(Self.web.uuid)</uuid><devices><disk type='file' device='disk'>
            <source file='/v/1'/><target dev='vdb' bus='virtio'/></disk></devices></domain>
            """
        kept.keep(
            try DomainDescription(xml: xml), of: Self.web, view, askedAt: askedAt,
            events: LibvirtEvents(hub: hub, domainUUID: Self.web.uuid, limit: 1))
    }

    /// What is kept if libvirt says this so many seconds after it was asked for the description.
    private func isKept(_ control: LibvirtDomainControl, after seconds: Int, view: XMLView = .live) -> Bool {
        let description = kept.description(of: Self.web, view, control, now: askedAt + .seconds(seconds))
        return description?.disk("vdb")?.location == .file("/v/1")
    }

    @Test("It holds while QEMU has not answered the command that was out when libvirt was asked")
    func sameCommand() throws {
        try keep()
        #expect(isKept(.occupied(command: .seconds(33)), after: 31))
        #expect(isKept(.occupied(command: .seconds(90)), after: 90))
        #expect(!isKept(.occupied(command: .seconds(90)), after: 90, view: .inactive))
    }

    @Test(
        "It does not hold once the domain has been free, which may have been between two commands",
        arguments: [.free, .occupied(command: .seconds(89)), .occupied(command: nil)] as [LibvirtDomainControl])
    func changed(control: LibvirtDomainControl) throws {
        try keep()
        #expect(!isKept(control, after: 90))
        #expect(!isKept(.occupied(command: .seconds(100)), after: 100), "it was dropped")
    }

    @Test(
        "It does not hold after an event of the domain, or if none can arrive any more",
        arguments: [
            .lifecycle(domainUUID: web.uuid, event: .defined, detail: 1),
            .blockJob(domainUUID: web.uuid, disk: "vdb", type: .copy, status: .completed), nil,
        ] as [LibvirtEvent?])
    func event(event: LibvirtEvent?) throws {
        try keep(.inactive)
        hub.publish(.lifecycle(domainUUID: "00000000-0000-4000-8000-000000000001", event: .defined, detail: 1))
        #expect(isKept(.occupied(command: .seconds(60)), after: 60, view: .inactive), "another domain's")
        if let event { hub.publish(event) } else { hub.close(.keepalive) }
        #expect(!isKept(.occupied(command: .seconds(60)), after: 60, view: .inactive))
    }

    @Test("It is dropped when the domain is none of those that may take long")
    func dropped() throws {
        try keep()
        kept.drop(allBut: [Self.web.uuid])
        #expect(isKept(.occupied(command: .seconds(60)), after: 60))
        kept.drop(allBut: [])
        #expect(!isKept(.occupied(command: .seconds(60)), after: 60))
    }
}
