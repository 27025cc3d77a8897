import Testing

@testable import VolumeSwap

@Suite("Defining a domain again")
struct DefinitionRestorerTests {
    typealias Domain = PluggedDomain

    static let refusal = HypervisorError(.other, number: 67, "unsupported configuration")

    /// - Returns: the definitions that were tried, and the warnings.
    static func restore(
        live: String?, known: Bool = true, refuses: @escaping (String) -> HypervisorError?
    ) async throws -> (tried: [String], warnings: [String]) {
        let restorer = DefinitionRestorer(
            savedXML: Domain.stored(), known: known ? try DomainXML.devices(Domain.live()) : nil, disk: "vdb", liveXML: live)
        var tried: [String] = []
        let warnings = try await restorer.restore(edit: { $0 }) { (xml) throws(HypervisorError) in
            tried.append(xml)
            if let error = refuses(xml) { throw error }
        }
        return (tried, warnings)
    }

    @Test("A definition with the devices of now is tried first")
    func accepted() async throws {
        let (tried, warnings) = try await Self.restore(live: Domain.live([Domain.random])) { _ in nil }
        #expect(tried.count == 1 && tried[0].contains("/dev/urandom"))
        #expect(warnings == [])
    }

    @Test("Without a running domain, or without its devices of before, the saved definition is restored")
    func plain() async throws {
        #expect(try await Self.restore(live: nil) { _ in nil }.tried == [Domain.stored()])
        #expect(try await Self.restore(live: Domain.live([Domain.disk]), known: false) { _ in nil }.tried == [Domain.stored()])
    }

    @Test("A device that libvirt refuses is left out, with a warning; disks and interfaces are left out last")
    func refused() async throws {
        let live = Domain.live([Domain.random, Domain.aliased])
        let some = try await Self.restore(live: live) { $0.contains("/dev/urandom") ? Self.refusal : nil }
        #expect(some.tried.count == 2 && some.tried[1].contains("ua-scratch"))
        #expect(some.warnings.count == 1)
        #expect(some.warnings[0].contains("(attached \(Domain.random.name)): unsupported"))
        let none = try await Self.restore(live: live) { $0 == Domain.stored() ? nil : Self.refusal }
        #expect(none.tried.count == 3)
        #expect(none.warnings.first?.contains(Domain.aliased.name) == true)
    }

    @Test("What came off stays off, whatever libvirt refuses of what was plugged")
    func detached() async throws {
        let (before, after) = (Domain.live([Domain.aliased]), Domain.live([Domain.random, Domain.disk, Domain.controller]))
        let restorer = DefinitionRestorer(
            savedXML: Domain.stored([Domain.aliased]), known: try DomainXML.devices(before), disk: "vdb", liveXML: after)
        var accepted = ""
        let warnings = try await restorer.restore(edit: { $0 }) { (xml) throws(HypervisorError) in
            if xml.contains("/dev/urandom") || xml.contains("/dev/vg/more") { throw Self.refusal }
            accepted = xml
        }
        #expect(!accepted.isEmpty && !accepted.contains("/volumes/c"))
        #expect(warnings.count == 1)
    }

    @Test("A host that cannot write a definition has not refused it", arguments: [38, 2, 88])
    func full(number: Int) async throws {
        var tried = 0
        let error = await #expect(throws: HypervisorError.self) {
            _ = try await Self.restore(live: Domain.live([Domain.random])) { _ in
                tried += 1
                return HypervisorError(.other, number: number, "cannot write: No space left on device")
            }
        }
        #expect(error?.number == number && tried == 1)
    }

    @Test("A guest that cannot be asked is no refusal of a definition")
    func unseen() async throws {
        let restorer = DefinitionRestorer(
            savedXML: Domain.stored(), known: try DomainXML.devices(Domain.live()), disk: "vdb",
            liveXML: Domain.live([Domain.random]))
        var edits = 0
        await #expect(throws: HypervisorError.self) {
            try await restorer.restore(edit: { _ in
                edits += 1
                throw HypervisorError(.noDomain, "it has stopped")
            }) { _ in Issue.record("nothing may be defined") }
        }
        #expect(edits == 1)
    }

    @Test("A definition that is refused in every form, or not answered, is a failure")
    func failed() async throws {
        let all = await #expect(throws: HypervisorError.self) {
            try await Self.restore(live: Domain.live([Domain.random])) { _ in Self.refusal }
        }
        #expect(all?.number == 67)
        let passing = await #expect(throws: HypervisorError.self) {
            try await Self.restore(live: Domain.live([Domain.random])) { xml in
                #expect(xml.contains("/dev/urandom"))
                return HypervisorError(.busy, "busy")
            }
        }
        #expect(passing?.code == .busy)
    }
}
