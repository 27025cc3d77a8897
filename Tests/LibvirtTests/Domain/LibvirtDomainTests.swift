import Foundation
import Testing

@testable import Libvirt

struct LibvirtDomainTests {
    @Test func definesStartsAndUndefines() async throws {
        let connection = try await openTestDriver()
        let uuid = UUID().uuidString.lowercased()
        let domain = try await connection.defineDomain(
            xml: domainXML(name: "life-\(uuid)", uuid: uuid, description: "tom &amp; jerry"))
        #expect(domain.uuid == uuid)
        #expect(domain.name == "life-\(uuid)")
        #expect(try await domain.isPersistent())
        #expect(try await !domain.isActive())

        let stopped = await #expect(throws: LibvirtError.self) { try await domain.destroy() }
        #expect(stopped?.isOperationInvalid == true)

        try await domain.create()
        try await domain.suspend()
        try await domain.resume()
        #expect(try await domain.isActive())

        #expect(try await domain.xml().contains("<description>tom &amp; jerry</description>"))
        #expect(try await domain.xml(inactive: true).contains(uuid))
        #expect(try await !domain.hasManagedSaveImage())
        #expect(try await domain.snapshotCount() == 0)
        #expect(try await domain.checkpointCount() == 0)

        try await domain.destroy()
        try await domain.undefine()
        let gone = await #expect(throws: LibvirtError.self) { try await domain.isActive() }
        #expect(gone?.isNoDomain == true)
        await connection.close()
    }

    @Test func undefiningARunningDomainMakesItTransient() async throws {
        let connection = try await openTestDriver()
        let uuid = UUID().uuidString.lowercased()
        let domain = try await connection.defineDomain(xml: domainXML(name: "transient-\(uuid)", uuid: uuid))
        try await domain.create()
        let stored = try await domain.xml(inactive: true)
        try await domain.undefine()
        #expect(try await !domain.isPersistent())
        #expect(try await domain.isActive())
        _ = try await connection.defineDomain(xml: stored)
        #expect(try await domain.isPersistent())
        try await domain.destroy()
        try await domain.undefine()
        await connection.close()
    }

    @Test func aKnownHandleServesWhateverBecomesOfTheDomain() async throws {
        let connection = try await openTestDriver()
        let uuid = UUID().uuidString.lowercased()
        let unknown = await #expect(throws: LibvirtError.self) { try await connection.knownDomain(uuid: uuid) }
        #expect(unknown?.isNoDomain == true)
        let domain = try await connection.defineDomain(xml: domainXML(name: "known-\(uuid)", uuid: uuid))
        let known = try await connection.knownDomain(uuid: uuid)
        try await domain.create()
        try await domain.undefine()
        #expect(try await known.isActive())
        try await domain.destroy()
        let gone = await #expect(throws: LibvirtError.self) {
            try await connection.knownDomain(uuid: uuid).isActive()
        }
        #expect(gone?.isNoDomain == true)
        _ = try await connection.defineDomain(xml: domainXML(name: "renamed-\(uuid)", uuid: uuid))
        #expect(try await connection.knownDomain(uuid: uuid) === known)
        #expect(try await known.isPersistent())
        try await known.undefine()
        await connection.close()
    }

    @Test func keepsMetadataOfANamespace() async throws {
        let connection = try await openTestDriver()
        let uuid = UUID().uuidString.lowercased()
        let domain = try await connection.defineDomain(xml: domainXML(name: "metadata-\(uuid)", uuid: uuid))
        let uri = "http://example.org/swap/1"
        try await domain.create()
        #expect(try await domain.metadata(uri: uri) == nil)
        try await domain.setMetadata("<swap task='7'/>", key: "x", uri: uri)
        let element = try #require(try await domain.metadata(uri: uri))
        #expect(element.contains("task='7'") || element.contains("task=\"7\""))
        #expect(try await domain.xml().contains("<x:swap xmlns:x=\"\(uri)\" task=\"7\"/>"))
        try await domain.setMetadata(nil, key: "x", uri: uri)
        #expect(try await domain.metadata(uri: uri) == nil)
        try await domain.destroy()
        try await domain.undefine()
        await connection.close()
    }

    @Test func runsManyCallsAtOnce() async throws {
        let connection = try await openTestDriver()
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<200 {
                group.addTask { try await connection.domain(name: "test").xml() }
            }
            for try await xml in group {
                #expect(xml.contains("<name>test</name>"))
            }
        }
        await connection.close()
    }

    @Test(
        "virDomainControlState",
        arguments: [
            (0, .free), (1, .occupied(command: nil)), (2, .occupied(command: .milliseconds(2100))), (3, .occupied(command: nil)),
        ] as [(UInt32, LibvirtDomainControl)])
    func control(state: UInt32, control: LibvirtDomainControl) {
        #expect(LibvirtDomainControl(state: state, milliseconds: 2100) == control)
        #expect(control.mayTakeLong == (control != .free))
        #expect(!LibvirtDomainControl(state: 2, milliseconds: 999).mayTakeLong)
    }
}
