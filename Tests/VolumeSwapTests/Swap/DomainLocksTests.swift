import Basics
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Locks of domains")
struct DomainLocksTests {
    private static let uuid = "6c1d8a6e-2f0b-4f57-9d57-6a5b6a0d1f11"

    /// Has tasks wait for the domain, in this order, and notes who gets it. Each keeps it until it is released.
    private static func waiting(_ tasks: [String], for locks: DomainLocks, _ order: Order) async {
        for (index, task) in tasks.enumerated() {
            Task {
                try await locks.acquire(uuid, for: TaskID(task))
                order.add(task)
            }
            while locks.waiting(uuid) <= index { await Task.yield() }
        }
    }

    private final class Order: Sendable {
        private let tasks = Mutex<[String]>([])
        var all: [String] { tasks.withLock { $0 } }
        func add(_ task: String) { tasks.withLock { $0.append(task) } }
        func wait(_ count: Int) async { while all.count < count { await Task.yield() } }
    }

    @Test("A group that lets go of its domain does not take it from the next group of the same swaps")
    func groups() async throws {
        let locks = DomainLocks()
        let (first, next) = (PivotGroup(Fixture.domain, [TaskID("a")]), PivotGroup(Fixture.domain, [TaskID("a")]))
        try await locks.acquire(Self.uuid, for: next.id)
        locks.release(first.id)
        #expect(locks.holder(of: Self.uuid) == next.id)
    }

    @Test("Those that a domain is passed on to get it as they want it, before all others")
    func heirs() async throws {
        let (locks, order) = (DomainLocks(), Order())
        try await locks.acquire(Self.uuid, for: TaskID("group"))
        locks.passOn(Self.uuid, from: TaskID("group"), to: ["a", "b", "c"].map(TaskID.init))
        await Self.waiting(["other", "b"], for: locks, order)
        locks.release(TaskID("group"))
        await order.wait(1)
        #expect(order.all == ["b"])
        // It has failed before it wanted the domain.
        locks.release(TaskID("c"))
        locks.release(TaskID("b"))
        for _ in 0..<100 { await Task.yield() }
        #expect(order.all == ["b"] && locks.holder(of: Self.uuid) == nil)
        try await locks.acquire(Self.uuid, for: TaskID("a"))
        locks.release(TaskID("a"))
        await order.wait(2)
        #expect(order.all == ["b", "other"] && locks.holder(of: Self.uuid) == TaskID("other"))
    }

    @Test("Once the last heir has given up its claim, a free domain goes to whoever waits")
    func lastHeir() async throws {
        let (locks, order) = (DomainLocks(), Order())
        try await locks.acquire(Self.uuid, for: TaskID("group"))
        locks.passOn(Self.uuid, from: TaskID("group"), to: [TaskID("a")])
        await Self.waiting(["other"], for: locks, order)
        locks.release(TaskID("group"))
        #expect(locks.holder(of: Self.uuid) == nil)
        locks.release(TaskID("a"))
        await order.wait(1)
        #expect(locks.holder(of: Self.uuid) == TaskID("other"))
    }
}
