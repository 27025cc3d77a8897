import Testing

@testable import LibvirtHypervisor
@testable import VolumeSwap

@Suite struct ParsedDescriptionsTests {
    private static let web = DomainIdentity(uuid: "5a9c2a6c-1f2b-4b5e-9f7a-0d6f6f1f0c11", name: "web")
    private let parsed = ParsedDescriptions()

    private func xml(_ path: String) -> String {
        """
        <domain type='kvm'><name>\(Self.web.name)</name><uuid>\(Self.web.uuid)</uuid><devices><disk type='file' device='disk'>
        <source file='\(path)'/><target dev='vdb' bus='virtio'/></disk></devices></domain>
        """
    }

    private func place(_ path: String, _ view: XMLView = .live) throws -> VolumeLocation? {
        try parsed.description(of: Self.web, view, xml(path)).disk("vdb")?.location
    }

    @Test func aConfigurationThatChangesIsParsedAgain() throws {
        #expect(try place("/v/1") == .file("/v/1"))
        #expect(try place("/v/1") == .file("/v/1"))
        #expect(try place("/v/2") == .file("/v/2"))
        #expect(try place("/v/1") == .file("/v/1"))
    }

    @Test func oneThatHasNotChangedIsNotParsedAgain() throws {
        let once = try parsed.description(of: Self.web, .live, xml("/v/1"))
        let again = try parsed.description(of: Self.web, .live, xml("/v/1"))
        #expect(once.disks[0].storage === again.disks[0].storage)
    }

    @Test func theViewsOfADomainAreApart() throws {
        #expect(try place("/v/1", .live) == .file("/v/1"))
        #expect(try place("/v/2", .inactive) == .file("/v/2"))
        #expect(try place("/v/1", .live) == .file("/v/1"))
    }

    @Test func onlyDomainsThatAreThereAreKept() throws {
        _ = try place("/v/1")
        parsed.drop(allBut: [Self.web.uuid])
        #expect(parsed.count == 1)
        parsed.drop(allBut: [])
        #expect(parsed.count == 0)
    }

    @Test func whatIsNoConfigurationIsRefusedAndNotKept() {
        #expect(throws: SwapFailure.self) { try parsed.description(of: Self.web, .live, "<domain>") }
        #expect(parsed.count == 0)
    }
}
