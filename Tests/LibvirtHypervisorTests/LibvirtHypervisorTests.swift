import Foundation
import HypervisorConformance
import Logging
import Testing

@testable import Libvirt
@testable import LibvirtHypervisor
@testable import VolumeSwap

/// Against libvirt's test driver: one simulated host for the whole process, so each test defines domains of its own.
@Suite(.timeLimit(.minutes(10))) struct LibvirtHypervisorTests {
    private static let logger = Logger(label: "hypervisor-tests") { _ in SwiftLogNoOpLogHandler() }

    private func connected(_ body: (LibvirtHypervisor, LibvirtConnection) async throws -> Void) async throws {
        // Its patience never ends: only what is answered wrongly fails here, however slow the machine is.
        let clock = ManualClock()
        let link = LibvirtLink(uri: "test:///default", clock: clock, logger: Self.logger)
        let run = Task { await link.run() }
        defer { run.cancel() }
        let hypervisor = LibvirtHypervisor(link: link, allowsMonitorCommands: true, clock: clock, logger: Self.logger)
        let connection = try await LibvirtConnection.open(uri: "test:///default", logger: Self.logger)
        try await body(hypervisor, connection)
        await connection.close()
    }

    private func xml(_ uuid: String, _ disk: String) -> String {
        """
        <domain type='test'><name>host-\(uuid)</name><uuid>\(uuid)</uuid><memory unit='KiB'>8192</memory><vcpu>1</vcpu>
        <os><type arch='i686'>hvm</type></os><devices><disk type='file' device='disk'><source file='\(disk)'/>
        <target dev='vdb' bus='virtio'/></disk></devices></domain>
        """
    }

    @Test func everyDomainOfTheHostIsTold() async throws {
        try await connected { hypervisor, connection in
            let uuids = (0..<200).map { _ in UUID().uuidString.lowercased() }
            var domains: [LibvirtDomain] = []
            for uuid in uuids { domains.append(try await connection.defineDomain(xml: xml(uuid, "/v/\(uuid)"))) }
            try await domains[0].create()
            let transient = UUID().uuidString.lowercased()
            let running = try await connection.createDomain(xml: xml(transient, "/v/\(transient)"))

            let told = try await hypervisor.domains()
            for (index, uuid) in uuids.enumerated() {
                let views = told.filter { $0.uuid == uuid }
                #expect(views.map(\.isLive).sorted { $0 && !$1 } == (index == 0 ? [true, false] : [false]))
                #expect(views.allSatisfy { $0.disk("vdb")?.location == .file("/v/\(uuid)") })
            }
            #expect(told.filter { $0.uuid == transient }.map(\.isLive) == [true])

            try await running.destroy()
            try await domains[0].destroy()
            for domain in domains { try await domain.undefine() }
        }
    }

    @Test func eachLifeOfAGuestIsToldFromTheOthers() async throws {
        try await connected { hypervisor, connection in
            let uuid = UUID().uuidString.lowercased()
            let identity = DomainIdentity(uuid: uuid, name: "host-\(uuid)")
            let domain = try await connection.defineDomain(xml: xml(uuid, "/v/\(uuid)"))
            #expect(try await hypervisor.life(identity) == nil)
            var lives: [String?] = []
            for _ in 0..<2 {
                try await domain.create()
                let life = try await hypervisor.life(identity)
                #expect(try await hypervisor.life(identity) == life)
                lives.append(life)
                try await domain.destroy()
            }
            #expect(lives.allSatisfy { $0 != nil } && lives[0] != lives[1])
            try await domain.undefine()
        }
    }

    @Test func callsOfManyDomainsGoSideBySide() async throws {
        try await connected { hypervisor, connection in
            let uuids = (0..<60).map { _ in UUID().uuidString.lowercased() }
            var domains: [LibvirtDomain] = []
            for uuid in uuids { domains.append(try await connection.createDomain(xml: xml(uuid, "/v/\(uuid)"))) }
            try await withThrowingTaskGroup(of: String?.self) { group in
                for uuid in uuids {
                    let identity = DomainIdentity(uuid: uuid, name: "host-\(uuid)")
                    group.addTask {
                        try await hypervisor.setRecoveryMetadata(identity, "<swap task='\(uuid)'/>")
                        return try await hypervisor.recoveryMetadata(identity)
                    }
                }
                for try await metadata in group { #expect(metadata?.contains("task=") == true) }
            }
            #expect(hypervisor.hungDomains.isEmpty)
            for domain in domains { try await domain.destroy() }
        }
    }

    @Test func aStoppedDomainSaysSo() async throws {
        try await connected { hypervisor, connection in
            let uuid = UUID().uuidString.lowercased()
            let domain = try await connection.defineDomain(xml: xml(uuid, "/v/\(uuid)"))
            let identity = DomainIdentity(uuid: uuid, name: "host-\(uuid)")
            let metadata = await #expect(throws: HypervisorError.self) {
                try await hypervisor.setRecoveryMetadata(identity, "<swap/>")
            }
            #expect(metadata?.code == .operationInvalid)
            try await domain.undefine()
            let gone = await #expect(throws: HypervisorError.self) { _ = try await hypervisor.xml(identity, .live) }
            #expect(gone?.code == .noDomain)
        }
    }

    @Test(arguments: HypervisorCheck.withoutQEMU)
    func conforms(check: HypervisorCheck) async throws {
        try await connected { hypervisor, connection in
            let uuid = UUID().uuidString.lowercased()
            let domain = try await connection.defineDomain(xml: xml(uuid, "/v/\(uuid)"))
            try await domain.create()
            try await check.run(
                on: subject(
                    hypervisor, DomainIdentity(uuid: uuid, name: "host-\(uuid)"), old: .file("/v/\(uuid)"), new: "/v/new"))
            try await domain.destroy()
            try await domain.undefine()
        }
    }

    private func subject(
        _ hypervisor: LibvirtHypervisor, _ domain: DomainIdentity, old: VolumeLocation, new: String
    ) -> HypervisorCheck.Subject {
        HypervisorCheck.Subject(
            hypervisor, domain: domain, disk: "vdb", old: old,
            copy: BlockCopy(
                destination: VolumeSource(location: .file(new), format: "raw"), sliceBytes: nil, bandwidth: 0, granularity: 0,
                bufferSize: 0, synchronousWrites: false),
            rebase: RebaseCopy(path: new, bandwidth: 0, isBlockDevice: false, isRaw: true))
    }

    private static let realHost = ProcessInfo.processInfo.environment["PIVOTD_TEST_LIBVIRT_URI"]

    /// With a real guest, whose disk vdb ends on the file `PIVOTD_TEST_VOLUME`; `Tests/Integration/test_conformance.py` starts one.
    @Test(.enabled(if: realHost != nil, "PIVOTD_TEST_LIBVIRT_URI names no host"))
    func conformsWithQEMU() async throws {
        let environment = ProcessInfo.processInfo.environment
        let volume = try #require(environment["PIVOTD_TEST_VOLUME"])
        let link = LibvirtLink(uri: try #require(Self.realHost), logger: Self.logger)
        let run = Task { await link.run() }
        defer { run.cancel() }
        let hypervisor = LibvirtHypervisor(link: link, allowsMonitorCommands: true, logger: Self.logger)
        let domain = try await hypervisor.lookup(InstanceReference(uuid: environment["PIVOTD_TEST_DOMAIN"], name: nil))
        let old = try #require(try await hypervisor.description(domain, .live).disk("vdb")?.location)
        let subject = subject(hypervisor, domain, old: old, new: volume)
        for check in HypervisorCheck.allCases where check != .aCopyIsPivoted { try await check.run(on: subject) }
        try await HypervisorCheck.aCopyIsPivoted.run(on: subject)
    }

    @Test(
        arguments: [
            (68, 0, "Timed out during operation: cannot acquire state change lock (held by monitor=qemu-event)", .busy),
            (55, 10, "Requested operation is not valid: block job on disk 'vdb' is still being ended", .stillEnding),
            (55, 20, "Requested operation is not valid: domain is not running", .operationInvalid),
            (83, 10, "block copy still active: disk 'vdb' not ready for pivot yet", .notReady),
            (8, 10, "invalid argument: disk vdb does not have an active block job", .other),
            // QEMU dies under a call: its monitor is gone, libvirt is not.
            (38, 10, "Unable to read from monitor: Connection reset by peer", .other),
            (38, 7, "End of file while reading data: Input/output error", .connectionLost),
            (1, 7, "internal error: client socket is closed", .connectionLost),
            (42, 10, "Domain not found", .noDomain),
        ] as [(Int32, Int32, String, HypervisorError.Code)])
    func errorsHaveTheirMeaning(number: Int32, domain: Int32, message: String, code: HypervisorError.Code) {
        let error = HypervisorError(LibvirtError(code: number, domain: domain, message: message))
        #expect(error.code == code)
        #expect(error.number == Int(number))
    }
}
