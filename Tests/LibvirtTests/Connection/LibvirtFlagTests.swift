import Foundation
import Testing

@testable import Libvirt

@Suite struct LibvirtFlagTests {
    private static let copy: [LibvirtFlag] = [.copyTransientJob, .copySynchronousWrites]

    private static func known(_ flags: [LibvirtFlag], _ message: String, code: Int32 = 8) -> [LibvirtFlag: Bool] {
        LibvirtFlag.known(flags, from: LibvirtError(code: code, domain: 10, message: message))
    }

    @Test("libvirt names what it does not know")
    func refusals() {
        // libvirt 9.0
        let only = "unsupported flags (0x80000000) in function qemuDomainBlockCopy"
        #expect(Self.known(Self.copy, only) == [.copyTransientJob: true, .copySynchronousWrites: true])
        let undefine = "unsupported flags (0x80000000) in function qemuDomainUndefineFlags"
        #expect(Self.known([.undefineKeepTPM], undefine) == [.undefineKeepTPM: true])
        let older = "unsupported flags (0x80000008) in function qemuDomainBlockCopy"
        #expect(Self.known(Self.copy, older) == [.copyTransientJob: true, .copySynchronousWrites: false])
        let oldest = "unsupported flags (0x8000000c) in function qemuDomainBlockCopy"
        #expect(Self.known(Self.copy, oldest) == [.copyTransientJob: false, .copySynchronousWrites: false])
        let german = "nicht unterstützte Flags (0x80000040) in Funktion qemuDomainUndefineFlags"
        #expect(Self.known([.undefineKeepTPM], german) == [.undefineKeepTPM: false])
    }

    @Test(
        "other refusals say nothing about flags",
        arguments: [
            "invalid argument: disk '-' not found in domain", "unsupported flags (0x40) in function qemuDomainUndefineFlags",
            "unsupported flags (0x) in function f", "unsupported flags (0xfffffffff) in function f", "",
        ])
    func others(message: String) {
        #expect(Self.known(Self.copy, message).isEmpty)
    }

    @Test("only an invalid argument is a refusal of flags")
    func codes() {
        // VIR_ERR_ACCESS_DENIED, VIR_ERR_NO_SUPPORT
        for code: Int32 in [88, 3] { #expect(Self.known(Self.copy, "unsupported flags (0x80000000)", code: code).isEmpty) }
    }

    @Test("a libvirt is asked once, and does nothing to the domain that it is asked about")
    func asking() async throws {
        let connection = try await openTestDriver()
        let uuid = UUID().uuidString.lowercased()
        let domain = try await connection.defineDomain(xml: domainXML(name: "asked-\(uuid)", uuid: uuid))
        let before = try await domain.xml()
        // The test driver copies no disks, so that it is of no use to ask about that.
        let known = try await connection.knownFlags()
        #expect(Set(known.keys) == [.undefineKeepTPM])
        for _ in 0..<3 { #expect(try await connection.knownFlags() == known) }
        #expect(try await domain.isPersistent())
        #expect(try await domain.xml() == before)
        try await domain.undefine()
        await connection.close()
    }
}
