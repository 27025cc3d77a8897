import Dispatch
import Synchronization
import Testing

@testable import Libvirt

struct CallPoolTests {
    @Test(.timeLimit(.minutes(10))) func runsBlockedCallsSideBySideUpToItsLimit() async {
        let pool = CallPool(limit: 3)
        let gate = DispatchSemaphore(value: 0)
        let started = DispatchSemaphore(value: 0)
        let running = Running()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<6 {
                group.addTask {
                    try? await pool.run {
                        running.begin()
                        started.signal()
                        gate.wait()
                        running.end()
                    }
                }
            }
            group.addTask {
                try? await CallPool(limit: 1).run {
                    for _ in 0..<3 { started.wait() }
                    for _ in 0..<6 { gate.signal() }
                }
            }
        }
        #expect(running.most == 3)
        #expect(running.now == 0)
    }

    @Test func passesResultsAndErrors() async throws {
        let pool = CallPool(limit: 1)
        #expect(try await pool.run { 7 } == 7)
        let error = LibvirtError(code: 42, domain: 10, message: "gone")
        await #expect(throws: error) { try await pool.run { () throws(LibvirtError) in throw error } }
    }
}

/// Counts the calls that run at the same time.
private final class Running: Sendable {
    private let counts = Mutex((now: 0, most: 0))

    var now: Int { counts.withLock { $0.now } }
    var most: Int { counts.withLock { $0.most } }

    func begin() {
        counts.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
    }

    func end() {
        counts.withLock { $0.now -= 1 }
    }
}
