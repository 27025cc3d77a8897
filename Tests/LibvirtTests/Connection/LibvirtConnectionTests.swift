import Foundation
import Libvirt
import Logging
import Testing

struct LibvirtConnectionTests {
    @Test func tellsVersions() async throws {
        let connection = try await openTestDriver()
        #expect(try await connection.libraryVersion() >= 9_000_000)
        #expect(try await connection.hypervisorVersion() == 2)
        #expect(connection.closeReason == nil)
        #expect(connection.uri == "test:///default")
        await connection.close()
    }

    @Test func findsDomainsByNameAndUUID() async throws {
        let connection = try await openTestDriver()
        let byName = try await connection.domain(name: "test")
        let byUUID = try await connection.domain(uuid: byName.uuid.uppercased())
        #expect(byUUID.name == "test")
        #expect(byUUID.uuid == byName.uuid)
        #expect(try await connection.domains(active: true).contains { $0.uuid == byName.uuid })
        #expect(try await !connection.domains(active: false).contains { $0.uuid == byName.uuid })
        #expect(try await connection.domains().contains { $0.uuid == byName.uuid })
        await connection.close()
    }

    @Test func mapsLookupErrors() async throws {
        let connection = try await openTestDriver()
        let missing = await #expect(throws: LibvirtError.self) { try await connection.domain(uuid: UUID().uuidString) }
        #expect(missing?.isNoDomain == true)
        #expect(missing?.codeName == "NO_DOMAIN")
        #expect(missing?.domain == 12)
        #expect(missing?.message.contains("Domain not found") == true)
        let malformed = await #expect(throws: LibvirtError.self) { try await connection.domain(uuid: "no uuid") }
        #expect(malformed?.codeName == "INVALID_ARG")
        let unnamed = await #expect(throws: LibvirtError.self) { try await connection.domain(name: "no such domain") }
        #expect(unnamed?.isNoDomain == true)
        let invalid = await #expect(throws: LibvirtError.self) { try await connection.defineDomain(xml: "<domain") }
        #expect(invalid?.codeName == "XML_ERROR" || invalid?.codeName == "XML_DETAIL")
        await connection.close()
    }

    @Test func reportsAFailedOpen() async {
        let error = await #expect(throws: LibvirtError.self) {
            try await LibvirtConnection.open(
                uri: "qemu+unix:///system?socket=/nonexistent/libvirt-sock", logger: Logger(label: "libvirt-tests"))
        }
        #expect(error?.isConnectionLost == true)
        #expect(error?.message.contains("/nonexistent/libvirt-sock") == true)
    }

    @Test func refusesCallsAfterClose() async throws {
        let connection = try await openTestDriver()
        let domain = try await connection.domain(name: "test")
        await connection.close()
        await connection.close()
        #expect(connection.closeReason == .client)
        let lookup = await #expect(throws: LibvirtError.self) { try await connection.domain(name: "test") }
        #expect(lookup?.codeName == "INVALID_CONN")
        #expect(lookup?.isConnectionLost == true)
        let call = await #expect(throws: LibvirtError.self) { try await domain.isActive() }
        #expect(call?.isConnectionLost == true)
    }

    @Test func tellsTheEndOnceToEachWaiter() async throws {
        let connection = try await openTestDriver()
        #expect(connection.closeReason == nil)
        async let first = connection.waitUntilClosed()
        async let second = connection.waitUntilClosed()
        await connection.close()
        #expect(try await first == .client)
        #expect(try await second == .client)
        #expect(try await connection.waitUntilClosed() == .client)
        #expect(connection.closeReason == .client)
    }

    @Test func waitingForTheEndCanBeCancelled() async throws {
        let connection = try await openTestDriver()
        let waiting = Task { try await connection.waitUntilClosed() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        await connection.close()
    }

    @Test func namesUnsupportedCalls() async throws {
        let connection = try await openTestDriver()
        let secret = await #expect(throws: LibvirtError.self) {
            try await connection.secret(usageType: .volume, usage: UUID().uuidString)
        }
        #expect(secret?.isUnsupported == true)
        let domain = try await connection.domain(name: "test")
        let copy = await #expect(throws: LibvirtError.self) {
            try await domain.blockCopy(
                disk: "vda", destinationXML: "<disk/>", bandwidth: 1 << 20, granularity: 65536, bufferSize: 1 << 20,
                synchronousWrites: false)
        }
        #expect(copy?.isUnsupported == true)
        let command = await #expect(throws: LibvirtError.self) { try await domain.monitorCommand(json: "{}") }
        #expect(command?.isUnsupported == true)
        await connection.close()
    }
}
