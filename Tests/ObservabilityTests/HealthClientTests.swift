import Foundation
import Testing

@testable import Observability

@Suite(.timeLimit(.minutes(10))) struct HealthClientTests {
    private static func server(_ checks: @escaping @Sendable () -> [HealthCheck]) throws -> HealthServer {
        HealthServer(address: try #require(ListenAddress("127.0.0.1:0")), checks: checks, metrics: { "" })
    }

    /// What `body` gets of a server that runs meanwhile.
    private static func serving<Result: Sendable>(
        _ server: HealthServer, _ body: @escaping @Sendable (ListenAddress) async throws -> Result
    ) async throws -> Result {
        let (addresses, listens) = AsyncStream<ListenAddress>.makeStream()
        let running = Task { try await server.run { listens.yield($0) } }
        defer { running.cancel() }
        let address = try #require(await addresses.first { _ in true })
        return try await body(address)
    }

    @Test func aPage() async throws {
        let ready = try Self.server { [HealthCheck("libvirt", ok: true, detail: "vm1 does not answer")] }
        let page = try await Self.serving(ready) { try await HealthClient.get("/readyz", of: $0, patience: .seconds(30)) }
        #expect(page == HealthClient.Page(status: 200, body: "ok\nlibvirt: vm1 does not answer\n"))
        let broken = try Self.server { [HealthCheck("broker", ok: false, detail: "gone")] }
        let other = try await Self.serving(broken) { try await HealthClient.get("/readyz", of: $0, patience: .seconds(30)) }
        #expect(other == HealthClient.Page(status: 503, body: "broker: gone\n"))
    }

    @Test func thePortOfAServerCannotBeListenedOn() async throws {
        let server = try Self.server { [] }
        let problem = try await Self.serving(server) { $0.listenProblem() }
        #expect(problem?.contains("in use by another process") == true)
        #expect(ListenAddress("192.0.2.1:9178")?.listenProblem()?.contains("no network interface") == true)
    }

    @Test func aTryKeepsNobodyFromThePort() async throws {
        let free = try #require(ListenAddress("127.0.0.1:0"))
        #expect(free.listenProblem() == nil)
        #expect(ListenAddress("[::1]:0")?.listenProblem() == nil)
    }

    @Test func nobodyListensOrAnswers() async throws {
        let gone = try await Self.serving(try Self.server { [] }) { $0 }
        // The server may still be closing its port.
        while gone.listenProblem() != nil { try await Task.sleep(for: .milliseconds(20)) }
        let refusal = await #expect(throws: HealthServer.Failure.self) {
            try await HealthClient.get("/readyz", of: gone, patience: .seconds(30))
        }
        #expect(refusal?.description.contains("nobody listens") == true)
    }
}
