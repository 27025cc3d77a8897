import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("The new volume of a queued swap", .timeLimit(.minutes(5)))
struct QueuedVolumeTests {
    static let new = VolumeIdentity(ids: ["new-volume"])

    /// A service with a guest of two disks, whose swaps wait in two queues as those of two guests do.
    private struct TwoQueues {
        let bench: ServiceBench
        let twin = TwinHypervisor()
        var service: SwapService { bench.service }

        init() {
            var bench = Bench(twin.one)
            bench.twin = twin
            self.bench = ServiceBench(bench)
        }

        /// Takes the first place of the first queue, for work that never comes.
        func block() -> InstanceQueue.Ticket { service.instanceQueue.reserve(Fixture.uuid) }

        func unblock(_ ticket: InstanceQueue.Ticket) { service.instanceQueue.withdraw(ticket) }

        func reply(of id: String) async throws -> SwapOutcome {
            let reply = try await bench.nextReply()
            #expect(reply.id == TaskID(id))
            return reply.outcome
        }
    }

    /// What moves the other disk onto the same volume.
    private static let beside: JSONObject = [
        "old_connection_info": Fixture.connection(TwinHypervisor.oldPath, serial: "old-c"), "old_volume_id": "old-c",
        "mountpoint": "/dev/vdc",
    ]

    private static func second(_ id: String = "task-2", _ more: JSONObject = [:]) -> SwapRecord {
        var record = Fixture.record(id, beside.merging(more), instanceKey: "another guest")
        record.disk = "vdc"
        return record
    }

    @Test("A swap accepted later whose turn comes earlier is refused it, by its id or its place")
    func laterOfAnotherQueue() async throws {
        let two = TwoQueues()
        try await two.bench.running { (service: SwapService) async throws in
            let place = two.block()
            _ = await two.bench.submit(Fixture.record())
            let unnamed: JSONObject = ["new_volume_id": .null, "new_connection_info": Fixture.connection(Fixture.newPath)]
            for (id, more) in [("task-2", [:]), ("task-3", unnamed)] as [(String, JSONObject)] {
                _ = await two.bench.submit(Self.second(id, more))
                let failure = try await two.reply(of: id).failure
                #expect(failure?.code == .newVolumeInUse && failure?.inUse == .old)
                #expect(failure?.reason.contains("about to be used or released by another swap: task task-1") == true)
            }
            two.unblock(place)
            #expect(try await two.reply(of: "task-1").result != nil)
            #expect(service.environment.reservations.holder(of: Self.new, otherThan: nil) == nil)
        }
    }

    @Test("When a paused queue is resumed, the swap accepted first gets it")
    func paused() async throws {
        let two = TwoQueues()
        try await two.bench.running { (service: SwapService) async throws in
            service.isPaused = true
            _ = await two.bench.submit(Self.second("task-1"))
            _ = await two.bench.submit(Fixture.record("task-2"))
            service.isPaused = false
            var outcomes: [String: SwapOutcome] = [:]
            for _ in 0..<2 {
                let reply = try await two.bench.nextReply()
                outcomes[reply.id.text] = reply.outcome
            }
            #expect(outcomes["task-1"]?.result != nil)
            #expect(outcomes["task-2"]?.failure?.code == .newVolumeInUse)
        }
    }

    @Test("check_swap refuses it, but not for the very disk, which it would follow")
    func check() async throws {
        let two = TwoQueues()
        let place = two.block()
        try await two.bench.running { (service: SwapService) async throws in
            _ = await two.bench.submit(Fixture.record())
            let failure = await service.check(Fixture.arguments(Self.beside)).failure
            #expect(failure?.code == .newVolumeInUse && failure?.reason.contains("task task-1") == true)
            let same = await service.check(Fixture.arguments())
            #expect(same.isAcceptable && same.warnings.last?.hasPrefix("a swap of this disk is waiting (task task-1)") == true)
        }
        two.unblock(place)
    }

    @Test("The same swap sent twice, under two ids: the second finds it done")
    func twice() async throws {
        let two = TwoQueues()
        try await two.bench.running { (service: SwapService) async throws in
            let place = two.block()
            for id in ["task-1", "task-2"] { _ = await two.bench.submit(Fixture.record(id)) }
            two.unblock(place)
            for _ in 0..<2 { #expect(try await two.bench.nextReply().outcome.result != nil) }
        }
        #expect(two.twin.one.count("copy") == 1)
    }

    @Test("A disk moves on to a new volume and back, queued at once")
    func back() async throws {
        let two = TwoQueues()
        // The disk keeps its serial, so after a migration Cinder exchanges the volumes' ids.
        let back: JSONObject = [
            "old_connection_info": Fixture.connection(Fixture.newPath, serial: "old-volume"),
            "new_connection_info": Fixture.connection(Fixture.oldPath, serial: "new-volume"),
        ]
        try await two.bench.running { (service: SwapService) async throws in
            let place = two.block()
            _ = await two.bench.submit(Fixture.record())
            _ = await two.bench.submit(Fixture.record("task-2", back))
            two.unblock(place)
            for _ in 0..<2 { #expect(try await two.bench.nextReply().outcome.failure == nil) }
        }
        #expect(two.twin.one.state.withLock { $0.liveSource } == Fixture.oldPath)
    }

    @Test("An aborted task leaves it to the next")
    func aborted() async throws {
        let two = TwoQueues()
        try await two.bench.running { (service: SwapService) async throws in
            let place = two.block()
            _ = await two.bench.submit(Fixture.record())
            _ = try await service.abort(.task(TaskID("task-1")))
            #expect(try await two.reply(of: "task-1").failure?.isAbort == true)
            _ = await two.bench.submit(Self.second())
            #expect(try await two.reply(of: "task-2").result != nil)
            two.unblock(place)
        }
    }

    @Test("A task that is not accepted leaves it to others", arguments: ["accept", "unreadable"])
    func notAccepted(why: String) async throws {
        let bench = ServiceBench()
        if why == "accept" {
            bench.bench.journal.fail("accept")
            #expect(await bench.submit(Fixture.record()) == "not stored")
        } else {
            let refusal = SwapFailure.invalidInput("resize_to: must be an integer")
            guard case .accepted = await bench.service.carryOut(bench.service.take(Fixture.record(), refusal: refusal)) else {
                Issue.record("the refusal was not taken on")
                return
            }
        }
        #expect(bench.service.environment.reservations.holder(of: Self.new, otherThan: nil) == nil)
    }

    @Test("It is kept over a restart, by its ids; a task that has become unreadable leaves it to others")
    func restarted() async throws {
        let bench = ServiceBench()
        let reservations = bench.service.environment.reservations
        let place = VolumeIdentity(ids: ["another"])
        bench.bench.journal.put(Fixture.record("task-1", ["new_volume_id": "another"]))
        bench.bench.journal.put(Fixture.record("task-2"))
        #expect(try await bench.service.recover() == 2)
        #expect(reservations.holder(of: place, otherThan: nil) == TaskID("task-1"))
        #expect(reservations.claim(Self.new, for: TaskID("task-2")) == TaskID("task-1"))
        bench.bench.journal.damage("task-1")
        try await bench.running { (_: SwapService) async throws in
            #expect(try await bench.nextReply().outcome.result != nil)
        }
        #expect(reservations.holder(of: place, otherThan: nil) == nil)
    }
}
