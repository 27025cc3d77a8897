import Dispatch
import Synchronization
import Testing

@testable import LibvirtHypervisor

@Suite("ProbePool", .timeLimit(.minutes(10)))
struct ProbePoolTests {
    /// Questions that hang until they are let go.
    final class Hang: Sendable {
        private let gate = DispatchSemaphore(value: 0)
        private let count = Mutex(0)

        var asked: Int { count.withLock { $0 } }

        func ask() -> String {
            count.withLock { $0 += 1 }
            gate.wait()
            gate.signal()
            return "late"
        }

        func end() { gate.signal() }
    }

    static let moment = Duration.milliseconds(20)

    static func waitUntil(_ condition: () -> Bool) async throws {
        while !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }

    @Test("An answer in time")
    func prompt() async {
        #expect(await ProbePool().ask("/a", patience: .seconds(50)) { 7 } == 7)
    }

    @Test("A hanging probe is given up, not repeated while it hangs, and repeated afterwards")
    func hangs() async throws {
        let pool = ProbePool()
        let hang = Hang()
        #expect(await pool.ask("/dead/a", patience: Self.moment) { hang.ask() } == nil)
        #expect(pool.hung == 1)
        #expect(await pool.ask("/dead/a", patience: .seconds(50)) { hang.ask() } == nil)
        #expect(hang.asked == 1)
        hang.end()
        try await Self.waitUntil { pool.hung == 0 }
        #expect(await pool.ask("/dead/a", patience: .seconds(50)) { hang.ask() } == "late")
    }

    @Test("One hanging path does not condemn its neighbours, two do")
    func neighbours() async throws {
        let pool = ProbePool()
        let hang = Hang()
        defer { hang.end() }
        #expect(await pool.ask("/mnt/a", patience: Self.moment) { hang.ask() } == nil)
        #expect(await pool.ask("/mnt/c", patience: .seconds(50)) { 1 } == 1)
        #expect(await pool.ask("/mnt/b", patience: Self.moment) { hang.ask() } == nil)
        #expect(await pool.ask("/mnt/c", patience: .seconds(50)) { 1 } == nil)
        #expect(await pool.ask("/mnt/sub/c", patience: .seconds(50)) { 1 } == 1)
        for name in ["host-a", "host-b"] { #expect(await pool.ask(name, patience: Self.moment) { hang.ask() } == nil) }
        #expect(await pool.ask("host-c", patience: .seconds(50)) { 1 } == 1)
    }

    @Test("Devices hang one by one, whatever directory names them", arguments: ["/dev/mapper", "/dev/disk/by-id", "/dev"])
    func devices(directory: String) async throws {
        let pool = ProbePool()
        let hang = Hang()
        defer { hang.end() }
        for name in ["a", "b", "c"] {
            #expect(await pool.ask("\(directory)/\(name)", patience: Self.moment) { hang.ask() } == nil)
        }
        #expect(await pool.ask("\(directory)/d", patience: .seconds(50)) { 1 } == 1)
        #expect(await pool.ask("\(directory)/a", patience: .seconds(50)) { 1 } == nil)
    }

    @Test("However many devices hang, as those of a dead array, other paths are probed")
    func manyDevices() async throws {
        let pool = ProbePool(threads: 2, hungThreads: 4, hungDevices: 3)
        let hang = Hang()
        for number in 0..<10 { #expect(await pool.ask("/dev/dm-\(number)", patience: Self.moment) { hang.ask() } == nil) }
        #expect(pool.hung == 3)
        #expect(await pool.ask("/dev/sda", patience: .seconds(50)) { 1 } == nil)
        #expect(await pool.ask("/mnt/share/disk", patience: .seconds(50)) { 1 } == 1)
        hang.end()
        try await Self.waitUntil { pool.hung == 0 }
        #expect(await pool.ask("/dev/sda", patience: .seconds(50)) { 1 } == 1)
    }

    @Test("A caller that is cancelled does not wait; its probe goes on and keeps its thread")
    func cancelled() async throws {
        let pool = ProbePool(threads: 1)
        let hang = Hang()
        let caller = Task { await pool.ask("/mnt/a", patience: .seconds(50)) { hang.ask() } }
        try await Self.waitUntil { hang.asked == 1 }
        let began = ContinuousClock.now
        caller.cancel()
        #expect(await caller.value == nil)
        #expect(ContinuousClock.now - began < .seconds(40))
        let next = Task { await pool.ask("/mnt/b", patience: .seconds(50)) { 1 } }
        try await Task.sleep(for: .milliseconds(100))
        hang.end()
        #expect(await next.value == 1)
        #expect(pool.hung == 0)
    }

    @Test("Many hanging paths use a bounded number of threads, and end")
    func bounded() async throws {
        let pool = ProbePool(threads: 2, hungThreads: 3)
        let hang = Hang()
        let answers = await withTaskGroup(of: String?.self) { group in
            for number in 0..<50 {
                group.addTask { await pool.ask("/mnt/\(number)/disk", patience: Self.moment) { hang.ask() } }
            }
            return await group.reduce(into: [String?]()) { $0.append($1) }
        }
        #expect(answers.count == 50)
        #expect(answers.allSatisfy { $0 == nil })
        #expect(hang.asked <= 5)
        hang.end()
        try await Self.waitUntil { pool.hung == 0 }
        #expect(await pool.ask("/mnt/x/disk", patience: .seconds(50)) { 1 } == 1)
    }

    @Test("Probes beyond the number of threads wait, and are answered")
    func waits() async {
        let pool = ProbePool(threads: 2)
        await withTaskGroup(of: Int?.self) { group in
            for number in 0..<200 { group.addTask { await pool.ask("/a/\(number)", patience: .seconds(50)) { number } } }
            let sum = await group.reduce(0) { $0 + ($1 ?? 0) }
            #expect(sum == 199 * 100)
        }
    }
}
