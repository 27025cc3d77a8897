import Libvirt
import Logging
import Testing

@testable import LibvirtHypervisor
@testable import VolumeSwap

@Suite(.timeLimit(.minutes(10))) struct CallConnectionsTests {
    private static let logger = Logger(label: "connections-tests") { _ in SwiftLogNoOpLogHandler() }
    private let clock = ManualClock()

    @Test func whoComesWhenAllCallsAreOutWaitsAndThenGetsOne() async throws {
        let primary = try await LibvirtConnection.open(uri: "test:///default", logger: Self.logger)
        let connections = CallConnections(uri: "test:///default", capacity: .calls, clock: clock, logger: Self.logger)
        var leases: [CallConnections.Lease] = []
        for _ in 0..<CallConnections.Capacity.calls.unservedCalls {
            leases.append(try await connections.lease(primary, patience: .seconds(5)))
        }
        let late = Task { try await connections.lease(primary, patience: .seconds(5)) }
        while connections.waiters == 0 { await Task.yield() }
        clock.advance(by: .seconds(5))
        let error = await #expect(throws: HypervisorError.self) { _ = try await late.value }
        #expect(error?.code == .busy)

        let next = Task { try await connections.lease(primary, patience: .seconds(5)) }
        while connections.waiters == 0 { await Task.yield() }
        connections.release(leases.removeLast())
        leases.append(try await next.value)
        for lease in leases { connections.release(lease) }
        #expect(try await connections.lease(primary, patience: .seconds(5)).connection === primary)
        await primary.close()
    }

    @Test(
        arguments: [
            ("qemu:///system", true), ("qemu+unix:///system?socket=/run/x", true), ("qemu:///embed?root=/x", false),
            ("test:///default", false), ("test+unix:///default", true),
        ]) func aDaemonServesOrNot(uri: String, isServed: Bool)
    {
        #expect(LibvirtConnection.isServed(uri) == isServed)
    }

    @Test(
        arguments: [
            ("qemu:///system", true), ("qemu+unix:///system?socket=/run/x", true), ("qemu:///embed?root=/x", true),
            ("qemu+ssh://compute2/system", false), ("qemu+tcp://127.0.0.1:16509/system", false),
            ("qemu://compute2/system", false),
            ("qemu+ssh:///system", false), ("qemu:///system?name=qemu%2Bssh://compute2/system", false), ("compute2", false),
            ("", false),
        ]) func aHypervisorIsOnThisHostOrMayNotBe(uri: String, isLocal: Bool)
    {
        #expect(LibvirtConnection.isLocal(uri) == isLocal)
    }
}
