import Foundation
import Synchronization
import Testing

@testable import Observability

@Suite(.timeLimit(.minutes(10))) struct HealthServerTests {
    /// Sends one request over a plain socket and reads until the server closes.
    static func request(_ text: String, to address: ListenAddress) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            // A queue of its own: a wait on the global one would take a thread from Swift's tasks.
            DispatchQueue(label: "client").async {
                continuation.resume(with: Result { try exchange(text, address) })
            }
        }
    }

    private static func exchange(_ text: String, _ address: ListenAddress) throws -> String {
        let descriptor = try connection(to: address)
        defer { close(descriptor) }
        _ = Array(text.utf8).withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 {
            answer += buffer[..<count]
        }
        return String(decoding: answer, as: UTF8.self)
    }

    static func connection(to address: ListenAddress) throws -> Int32 {
        let descriptor = socket(address.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var patience = timeval(tv_sec: 40, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var connected: Int32 = -1
        if address.isIPv6 {
            var socketAddress = sockaddr_in6()
            socketAddress.sin6_family = sa_family_t(AF_INET6)
            socketAddress.sin6_port = address.port.bigEndian
            inet_pton(AF_INET6, address.host, &socketAddress.sin6_addr)
            connected = withUnsafePointer(to: &socketAddress) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        } else {
            var socketAddress = sockaddr_in()
            socketAddress.sin_family = sa_family_t(AF_INET)
            socketAddress.sin_port = address.port.bigEndian
            inet_pton(AF_INET, address.host, &socketAddress.sin_addr)
            connected = withUnsafePointer(to: &socketAddress) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        guard connected == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        return descriptor
    }

    /// Waits for the end of the connection, on a queue of its own.
    static func isClosedByPeer(_ descriptor: Int32) async -> Bool {
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "client").async {
                var byte: UInt8 = 0
                continuation.resume(returning: recv(descriptor, &byte, 1, 0) == 0)
            }
        }
    }

    static func get(_ path: String, _ address: ListenAddress, method: String = "GET") async throws -> (Int, String, String) {
        let answer = try await request("\(method) \(path) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", to: address)
        let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let head = String(parts.first ?? "")
        let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return (status, head, parts.count > 1 ? String(parts[1]) : "")
    }

    static func serving(
        _ host: String = "127.0.0.1:0", limits: HealthServer.Limits = .init(),
        isAlive: @escaping @Sendable () -> [HealthCheck] = { [] },
        checks: @escaping @Sendable () -> [HealthCheck] = { [] }, home: (@Sendable () -> HomePage)? = nil,
        _ body: (ListenAddress) async throws -> Void
    ) async throws {
        let server = HealthServer(
            address: try #require(ListenAddress(host)), limits: limits, isAlive: isAlive, checks: checks,
            metrics: { "# TYPE a counter\na 1\n" }, home: home)
        let (addresses, listening) = AsyncStream<ListenAddress>.makeStream()
        let run = Task {
            defer { listening.finish() }
            try await server.run { listening.yield($0) }
        }
        let address = await addresses.first { _ in true }
        do {
            try await body(try #require(address))
        } catch {
            run.cancel()
            throw error
        }
        run.cancel()
        try await run.value
    }

    @Test func pagesAnswer() async throws {
        try await Self.serving { address in
            let (status, head, body) = try await Self.get("/metrics", address)
            #expect(status == 200)
            #expect(head.contains("text/plain; version=0.0.4"))
            #expect(body == "# TYPE a counter\na 1\n")
            #expect(try await Self.get("/livez", address).2 == "ok\n")
            #expect(try await Self.get("/livez?verbose", address).0 == 200)
            #expect(try await Self.get("/readyz", address).0 == 200)
            #expect(try await Self.get("/", address).0 == 404)
            #expect(try await Self.get("/metrics/x", address).0 == 404)
            let post = try await Self.get("/livez", address, method: "POST")
            #expect(post.0 == 405)
            #expect(post.1.contains("Allow: GET, HEAD"))
            let head2 = try await Self.get("/metrics", address, method: "HEAD")
            #expect(head2.0 == 200)
            #expect(head2.1.contains("Content-Length: 21"))
            #expect(head2.2.isEmpty)
        }
    }

    @Test func theHomePageIsHTMLUnderItsPolicy() async throws {
        try await Self.serving(home: { HomePage(html: "<p>ü</p>", policy: "default-src 'none'") }) { address in
            let (status, head, body) = try await Self.get("/", address)
            #expect(status == 200 && body == "<p>ü</p>")
            for line in [
                "Content-Type: text/html; charset=utf-8", "Content-Security-Policy: default-src 'none'",
                "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer", "Cache-Control: no-store",
            ] {
                #expect(head.contains(line))
            }
            #expect(try await Self.get("/?a=b", address).0 == 200)
            #expect(try await Self.get("/index.html", address).0 == 404)
            #expect(try await Self.get("/", address, method: "POST").0 == 405)
            #expect(try await !Self.get("/livez", address).1.contains("Security-Policy"))
        }
    }

    @Test func readinessFollowsTheChecks() async throws {
        let isConnected = Mutex(false)
        let checks: @Sendable () -> [HealthCheck] = {
            let isOK = isConnected.withLock { $0 }
            return [
                HealthCheck("journal", ok: true), HealthCheck("libvirt", ok: true, detail: "one domain hangs"),
                HealthCheck("broker", ok: isOK, detail: isOK ? "" : "refused\nby host"),
            ]
        }
        try await Self.serving(checks: checks) { address in
            let (status, _, body) = try await Self.get("/readyz", address)
            #expect(status == 503)
            #expect(body == "broker: refused\\nby host\nlibvirt: one domain hangs\n")
            #expect(try await Self.get("/livez", address).0 == 200)
            isConnected.withLock { $0 = true }
            let (ready, _, told) = try await Self.get("/readyz", address)
            #expect(ready == 200)
            #expect(told == "ok\nlibvirt: one domain hangs\n")
        }
    }

    @Test func listensOnIPv6() async throws {
        try await Self.serving("[::1]:0") { address in
            #expect(address.isIPv6)
            let (status, _, _) = try await Self.get("/livez", address)
            #expect(status == 200)
        }
    }

    @Test func livenessFollowsItsOwnChecks() async throws {
        let isAlive: @Sendable () -> [HealthCheck] = { [HealthCheck("journal", ok: false, detail: "a commit waits for 70 s")] }
        try await Self.serving(isAlive: isAlive) { address in
            let (status, _, body) = try await Self.get("/livez", address)
            #expect(status == 503)
            #expect(body == "journal: a commit waits for 70 s\n")
            #expect(try await Self.get("/readyz", address).0 == 200)
        }
    }

    @Test func saysWhichPortIsInUse() async throws {
        try await Self.serving { address in
            let second = HealthServer(address: address, checks: { [] }, metrics: { "" })
            let failure = await #expect(throws: HealthServer.Failure.self) { try await second.run() }
            #expect(failure?.description.contains("\(address)") == true)
            #expect(failure?.description.contains("in use") == true)
        }
    }

    @Test func stopsThoughAClientHoldsAConnection() async throws {
        var held: Int32 = -1
        try await Self.serving { address in
            held = try Self.connection(to: address)
            #expect(try await Self.get("/livez", address).0 == 200)
        }
        let isClosed = await Self.isClosedByPeer(held)
        #expect(isClosed)
        close(held)
    }

    @Test func aHeadBeyondTheLimitIsRefused() async throws {
        try await Self.serving { address in
            for head in ["GET /livez HTTP/1.1\r\nX: ", "GET /livez?", "GET /livez HTTP/1.1\r\n"] {
                let filler =
                    head.hasSuffix("\n") ? String(repeating: "a: b\r\n", count: 40_000) : String(repeating: "x", count: 1 << 18)
                let answer = try await Self.request(head + filler, to: address)
                #expect(answer.hasPrefix("HTTP/1.1 431 "), "\(head): \(answer.prefix(80))")
            }
            let garbage = try await Self.request("\u{16}\u{3}\u{1} no HTTP\r\n\r\n", to: address)
            #expect(garbage.hasPrefix("HTTP/1.1 400 "))
        }
    }

    @Test func whoDoesNotSayAnythingIsSentAway() async throws {
        var limits = HealthServer.Limits()
        limits.patience = .milliseconds(100)
        try await Self.serving(limits: limits) { address in
            for text in ["", "GET /livez HTTP/1.1\r\nHost"] {
                let answer = try await Self.request(text, to: address)
                #expect(answer.isEmpty)
            }
        }
    }

    @Test func whoComesFindsAPlaceHoweverManySayNothing() async throws {
        var limits = HealthServer.Limits()
        limits.connections = 8
        limits.patience = .seconds(3600)
        try await Self.serving(limits: limits) { address in
            let idle = try (0..<20).map { _ in try Self.connection(to: address) }
            defer { for descriptor in idle { close(descriptor) } }
            #expect(try await Self.get("/livez", address).0 == 200)
            for descriptor in idle.prefix(12) {
                let isClosed = await Self.isClosedByPeer(descriptor)
                #expect(isClosed)
            }
        }
    }

    @Test func answersWhenSwiftsTasksGetNoTurn() async throws {
        try await Self.serving { address in
            let gate = DispatchSemaphore(value: 0)
            let width = 2 * ProcessInfo.processInfo.activeProcessorCount
            let answer: String = try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<width { group.addTask { Self.block(on: gate) } }
                return try await withCheckedThrowingContinuation { continuation in
                    DispatchQueue(label: "client").async {
                        let answer = Result {
                            try Self.exchange("GET /livez HTTP/1.1\r\nHost: test\r\n\r\n", address)
                        }
                        for _ in 0..<width { gate.signal() }
                        continuation.resume(with: answer)
                    }
                }
            }
            #expect(answer.hasPrefix("HTTP/1.1 200 "))
        }
    }

    private static func block(on gate: DispatchSemaphore) { gate.wait() }

    @Test(arguments: [
        ("127.0.0.1:9178", "127.0.0.1:9178"), ("localhost:1", "127.0.0.1:1"), ("[::1]:80", "[::1]:80"),
        ("0.0.0.0:0", "0.0.0.0:0"),
    ])
    func addressesAreRead(text: String, expected: String) {
        #expect(ListenAddress(text)?.description == expected)
    }

    @Test(arguments: [
        "", "9178", ":9178", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "::1:80", "[::1]", "a:1", "1.2.3:4", "1.2.3.256:4",
    ])
    func otherTextsAreNoAddresses(text: String) {
        #expect(ListenAddress(text) == nil)
    }
}
