import Synchronization
import Testing

@testable import VolumeSwap

@Suite("BackingChains")
struct BackingChainsTests {
    static let top = "/images/top"

    /// The chain of a stopped domain's image, and what was looked at for it.
    static func read(
        _ backing: [String: BackingAnswer], format: String = "qcow2", below: String = "", isLive: Bool = false,
        beside: (FakeHypervisor) -> Void = { _ in }
    ) async throws -> (chain: BackingChains.Chain?, touches: [String]) {
        let hypervisor = FakeHypervisor()
        hypervisor.addDomain("vm-2", "<driver name='qemu' type='\(format)'/><source file='\(top)'/>\(below)", isLive: isLive)
        hypervisor.change { $0.backingFiles = backing }
        beside(hypervisor)
        let chains = try await BackingChains(hypervisor: hypervisor).read(hypervisor.state.withLock { $0.others })
        return (chains[.file(top)], hypervisor.touches)
    }

    static func found(_ name: String, _ format: String? = nil) -> BackingAnswer {
        .found(BackingFile(name: name, format: format))
    }

    @Test("Down to an image that is not qcow2, which is not opened")
    func chain() async throws {
        let (chain, touches) = try await Self.read([
            Self.top: Self.found("middle", "qcow2"), "/images/middle": Self.found("/base/old"),
            "/base/old": Self.found("/base/raw", "raw"), "/base/raw": Self.found("/base/forged"),
        ])
        #expect(chain == .init(places: [.block("/images/middle"), .block("/base/old"), .block("/base/raw")]))
        #expect(touches == ["read \(Self.top)", "read /images/middle", "read /base/old"])
    }

    @Test("A raw disk, a chain that libvirt names and the image of a domain that runs are not opened")
    func unread() async throws {
        let forged = [Self.top: Self.found("/base/forged")]
        let named = "<backingStore type='file'><source file='/base/named'/></backingStore>"
        #expect(try await Self.read(forged, format: "raw").touches == [])
        #expect(try await Self.read(forged, below: named).touches == [])
        #expect(try await Self.read(forged, isLive: true).touches == [])
        let stored = try await Self.read(forged) { hypervisor in
            hypervisor.addDomain("vm-2", "<driver name='qemu' type='qcow2'/><source file='\(Self.top)'/>\(named)")
        }
        #expect(stored.chain == nil && stored.touches == [])
    }

    @Test("A chain that runs in a circle ends; one without end is in doubt")
    func endless() async throws {
        let (circle, _) = try await Self.read([Self.top: Self.found("/b"), "/b": Self.found(Self.top)])
        #expect(circle == .init(places: [.block("/b")]))
        let links = (0..<40).map { ("/\($0)", Self.found("/\($0 + 1)")) }
        let (long, _) = try await Self.read(Dictionary(uniqueKeysWithValues: links + [(Self.top, Self.found("/0"))]))
        #expect(long?.places.count == BackingChains.depth && long?.trouble?.contains("more than 32") == true)
    }

    @Test("What cannot be followed is in doubt, with what is known so far")
    func trouble() async throws {
        let (broken, _) = try await Self.read([Self.top: Self.found("/b"), "/b": .failed("cannot read /b: EACCES")])
        #expect(broken == .init(places: [.block("/b")], trouble: "cannot read /b: EACCES"))
        let (hung, _) = try await Self.read([Self.top: Self.found("/b")]) { hypervisor in
            hypervisor.change { $0.hungPaths = ["/b"] }
        }
        #expect(hung == .init(places: [.block("/b")], trouble: "/b does not answer"))
        let (network, _) = try await Self.read([Self.top: Self.found("nbd://host/x")])
        #expect(network?.places == [] && network?.trouble?.contains("nbd://host/x, which is not a path") == true)
    }
}
