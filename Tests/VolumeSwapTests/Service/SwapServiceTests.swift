import Budgets
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("The service", .timeLimit(.minutes(10)))
struct SwapServiceTests {
    @Test("A call is accepted, carried out, answered once and settled")
    func call() async throws {
        let bench = ServiceBench()
        try await bench.running { (service: SwapService) async throws in
            #expect(await bench.submit(Fixture.record()) == "accepted")
            let reply = try await bench.nextReply()
            #expect(reply.replyTo.messageID == "m-task-1")
            #expect(reply.outcome.result != nil)
            #expect(try await bench.nextSettlement() == TaskID("task-1"))
            let status = try await service.status(.task(TaskID("task-1")))
            #expect(status.phase == .completed)
        }
    }

    @Test("A cast is carried out and not answered")
    func cast() async throws {
        let bench = ServiceBench()
        try await bench.running { (_: SwapService) async throws in
            #expect(await bench.submit(Fixture.record(call: false)) == "accepted")
            #expect(try await bench.nextSettlement() == TaskID("task-1"))
            #expect(bench.bench.hypervisor.count("pivot") == 1)
        }
    }

    @Test("Invalid arguments are answered with a failure")
    func badArguments() async throws {
        let bench = ServiceBench()
        try await bench.running { (_: SwapService) async throws in
            #expect(await bench.submit(Fixture.record("task-1", ["resize_to": "big"])) == "accepted")
            #expect(try await bench.nextReply().outcome.failure?.kind == .invalidInput)
        }
    }

    @Test("A task that the journal cannot store leaves no place behind")
    func notStored() async throws {
        let bench = ServiceBench()
        bench.bench.journal.fail("accept")
        try await bench.running { (service: SwapService) async throws in
            #expect(await bench.submit(Fixture.record()) == "not stored")
            #expect(service.queued == 0)
            #expect(await bench.submit(Fixture.record()) == "accepted")
            #expect(try await bench.nextReply().outcome.result != nil)
        }
        #expect(bench.bench.hypervisor.count("copy") == 1)
    }

    @Test("An outcome that could not be stored is stored later, and reported then")
    func finishRetried() async throws {
        let bench = ServiceBench()
        bench.bench.journal.fail("finish")
        bench.bench.journal.fail("settle")
        try await bench.running { (_: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            let reply = try await bench.nextReply()
            #expect(bench.bench.journal.stored("task-1")?.outcome == reply.outcome)
            #expect(try await bench.nextSettlement() == TaskID("task-1"))
        }
    }

    @Test("Repeating a message while its task is under way starts nothing")
    func duplicateUnderWay() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        try await bench.running { (_: SwapService) async throws in
            let first = bench.service.take(Fixture.record())
            let second = bench.service.take(Fixture.record())
            guard case .accepted = await bench.service.carryOut(first) else {
                Issue.record("the first was not accepted")
                return
            }
            guard case .underWay = await bench.service.carryOut(second) else {
                Issue.record("the second was not recognised")
                return
            }
            #expect(await bench.submit(Fixture.record()) == "under way")
        }
        #expect(bench.bench.hypervisor.count("copy") <= 1)
    }

    @Test("Repeating a message after the end gets the same answer, secrets included, and starts nothing")
    func duplicateAfterEnd() async throws {
        let bench = ServiceBench()
        let new = Fixture.connection(
            Fixture.newPath, ["auth_password": "hunter-two", "nested": ["token": "t"]], serial: "new-volume")
        let record = Fixture.record("task-1", ["new_connection_info": new])
        try await bench.running { (_: SwapService) async throws in
            _ = await bench.submit(record)
            let first = try await bench.nextReply()
            _ = try await bench.nextSettlement()
            #expect(await bench.submit(record) == "ended")
            let second = try await bench.nextReply()
            #expect(second.outcome == first.outcome)
            #expect(second.outcome.result?.serialized() == first.outcome.result?.serialized())
            #expect(second.replyTo == first.replyTo)
        }
        #expect(bench.bench.hypervisor.count("copy") == 1)
    }

    @Test("Repeating a message after the answer, before it is settled, is answered again")
    func duplicateBeforeSettlement() async throws {
        let bench = ServiceBench()
        bench.bench.journal.fail("settle")  // and is retried a moment later
        try await bench.running { (_: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            let first = try await bench.nextReply()
            let askers = ["b", "c"].map { ReplyTo(messageID: $0, queue: "reply", timeout: nil) }
            for asker in askers {
                var again = Fixture.record()
                again.replyTo = asker
                #expect(await bench.submit(again) == "ended")
            }
            let replies = [try await bench.nextReply(), try await bench.nextReply()]
            #expect(replies.allSatisfy { $0.outcome == first.outcome })
            #expect(Set(replies.map(\.replyTo)) == Set(askers))
        }
        #expect(bench.bench.hypervisor.count("copy") == 1)
    }

    @Test("Of too many callers of the same running task the latest are answered")
    func manyCallers() {
        var callers = LaterCallers()
        let all = (0...LaterCallers.limit).map { ReplyTo(messageID: "\($0)", queue: "reply", timeout: nil) }
        for caller in all + [all[5]] {
            let isRemembered = callers.add(caller)
            #expect(isRemembered)
        }
        let told = callers.tell(Fixture.record(), .failure(.abortedByRequest))
        #expect(told == Set(all.dropFirst()))
    }

    @Test("Two callers of the same running task are both answered, the first only once")
    func anotherCaller() async throws {
        let (copies, copy) = AsyncStream<Void>.makeStream()
        let bench = ServiceBench(Bench(FakeHypervisor { _ in copy.yield() }))
        try await bench.running { (_: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            for await _ in copies { break }
            var other = Fixture.record()
            other.replyTo = ReplyTo(messageID: "other", queue: "reply", timeout: nil)
            #expect(await bench.submit(other) == "shared")
            #expect(await bench.submit(Fixture.record()) == "under way")
            bench.bench.hypervisor.post(.ready)
            let replies = [try await bench.nextReply(), try await bench.nextReply()]
            #expect(Set(replies.map(\.replyTo)) == [Fixture.record().replyTo, other.replyTo])
            _ = try await bench.nextSettlement()
            #expect(await bench.submit(other) == "ended")
            #expect(try await bench.nextReply().replyTo == other.replyTo)
        }
        #expect(bench.bench.hypervisor.count("copy") == 1)
    }

    @Test("A failure is repeated too")
    func duplicateFailure() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { $0.post(.failed) }))
        try await bench.running { (_: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            let first = try await bench.nextReply()
            _ = try await bench.nextSettlement()
            #expect(await bench.submit(Fixture.record()) == "ended")
            #expect(try await bench.nextReply().outcome == first.outcome)
        }
    }

    @Test("A queued task is aborted at once, and the one before it goes on")
    func abortQueued() async throws {
        let (copies, copy) = AsyncStream<Void>.makeStream()
        let bench = ServiceBench(Bench(FakeHypervisor { _ in copy.yield() }))
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record("first"))
            _ = await bench.submit(Fixture.record("second"))
            for await _ in copies { break }
            #expect(try await service.status(.task(TaskID("first"))).waitsFor == nil)
            #expect(try await service.status(.task(TaskID("second"))).waitsFor == "instance")
            let status = try await service.abort(.task(TaskID("second")))
            #expect(status.phase == .aborted)
            #expect(bench.bench.observer.log.contains("ended"))
            let reply = try await bench.nextReply()
            #expect(reply.id == TaskID("second"))
            #expect(reply.outcome == .failure(.abortedByRequest))
            #expect(try await service.status(.task(TaskID("first"))).phase == .copying)
            // The newer one, which has ended, does not hide it.
            let disk = SwapSelector.disk(try InstanceReference(json: .string(Fixture.uuid)), "vdb")
            #expect(try await service.status(disk).phase == .copying)
            bench.bench.hypervisor.post(.ready)
            #expect(try await bench.nextReply().id == TaskID("first"))
        }
    }

    @Test("A task that is stored and not in memory yet is waited for, by its abort and by a resend")
    func abortArriving() async throws {
        var inner = Bench()
        let (stored, store) = AsyncStream<Void>.makeStream()
        let isTakenUp = Mutex(false)
        inner.onPhase = { phase in
            guard phase == .accepted else { return }
            store.yield()
            while !isTakenUp.withLock({ $0 }) { await Task.yield() }
        }
        let bench = ServiceBench(inner)
        try await bench.running { (service: SwapService) async throws in
            let arrival = Task { await bench.submit(Fixture.record()) }
            for await _ in stored { break }
            let abort = Task { try await service.abort(.task(TaskID("task-1"))) }
            let resend = Task { await bench.submit(Fixture.record()) }
            // Long enough for both to have failed if they did not wait.
            for _ in 0..<10_000 { await Task.yield() }
            isTakenUp.withLock { $0 = true }
            #expect(await arrival.value == "accepted")
            #expect(try await abort.value.phase != .completed)
            // The abort may have ended it by then.
            #expect(["under way", "ended"].contains(await resend.value))
            #expect(try await bench.nextReply().outcome.failure?.isAbort == true)
        }
    }

    @Test("A swap waits for a place under a limit without its slot, and can be aborted meanwhile")
    func limits() async throws {
        let (copies, copy) = AsyncStream<Void>.makeStream()
        var inner = Bench(FakeHypervisor { _ in copy.yield() })
        inner.maxConcurrentSwaps = 1
        inner.rules = try #require(BudgetRule.rules(json: #"[{"match": {"driver": "local"}, "concurrent": 1}]"#))
        let bench = ServiceBench(inner)
        // Another swap that counts, on this host but of no task here.
        let volumes = { @Sendable in
            BudgetVolumes(source: .init(driver: "local", places: []), destination: .init(driver: "rbd", places: []))
        }
        #expect(bench.service.environment.budget.admit(TaskID("other"), volumes, isBegun: false) == nil)
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record("first"))
            _ = await bench.submit(Fixture.record("second", ["options": ["timeout_s": 60]]))
            while try await service.status(.task(TaskID("first"))).waitsFor != "limit: either driver=local" { await Task.yield() }
            #expect(try await service.status(.task(TaskID("first"))).phase == .accepted)
            #expect(try await service.status(.task(TaskID("second"))).waitsFor == "instance")
            _ = try await service.abort(.task(TaskID("first")))
            #expect(try await bench.nextReply().outcome.failure?.isAbort == true)
            while try await service.status(.task(TaskID("second"))).waitsFor != "limit: either driver=local" {
                await Task.yield()
            }
            // Its time-out counts from when it begins.
            bench.bench.clock.jump(.seconds(3600))
            bench.service.environment.budget.leave(TaskID("other"))
            for await _ in copies { break }
            #expect(try await service.status(.task(TaskID("second"))).waitsFor == nil)
            bench.bench.hypervisor.post(.ready)
            #expect(try await bench.nextReply().outcome.result != nil)
        }
        #expect(bench.service.environment.budget.admit(TaskID("other"), volumes, isBegun: false) == nil)
    }

    @Test("A running copy can be aborted, an ended task cannot")
    func abortRunning() async throws {
        let (copies, copy) = AsyncStream<Void>.makeStream()
        let bench = ServiceBench(Bench(FakeHypervisor { _ in copy.yield() }))
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            for await _ in copies { break }
            _ = try await service.abort(.disk(InstanceReference(uuid: Fixture.uuid, name: nil), "vdb"))
            let failure = try await bench.nextReply().outcome.failure
            #expect(failure?.isAbort == true && failure?.inUse == .old)
            _ = try await bench.nextSettlement()
            await #expect(throws: SwapFailure.self) { try await service.abort(.task(TaskID("task-1"))) }
            await #expect(throws: SwapFailure.self) { try await service.setBandwidth(.task(TaskID("task-1")), mibS: 1) }
        }
        #expect(bench.bench.hypervisor.log == ["copy", "abort"])
    }

    @Test("Unknown tasks are invalid input")
    func unknownTask() async throws {
        let service = ServiceBench().service
        for selector in [SwapSelector.task(TaskID("x")), .disk(InstanceReference(uuid: nil, name: "vm"), "vdb")] {
            await #expect { try await service.status(selector) } throws: { ($0 as? SwapFailure)?.kind == .invalidInput }
        }
    }

    @Test("Of an instance's swaps the newest counts, however their requests name it", arguments: [true, false])
    func newest(isByName: Bool) async throws {
        let (uuid, name) = (
            InstanceReference(uuid: Fixture.uuid, name: nil), InstanceReference(uuid: nil, name: Fixture.domain.name)
        )
        for instance in [uuid, name] {
            let bench = ServiceBench()
            for (id, isNamed) in [("older", !isByName), ("newer", isByName)] {
                bench.bench.journal.put(Fixture.record(id, instanceKey: (isNamed ? name : uuid).key))
            }
            #expect(try await bench.service.status(.disk(instance, "vdb")).record.id.text == "newer")
        }
    }

    @Test("A swap is found by the instance's name and by its UUID, whichever its request gave", arguments: [true, false])
    func namesOfInstances(isByName: Bool) async throws {
        let (uuid, name) = (
            InstanceReference(uuid: Fixture.uuid, name: nil), InstanceReference(uuid: nil, name: Fixture.domain.name)
        )
        let (given, other) = isByName ? (name, uuid) : (uuid, name)
        var record = Fixture.record(
            "task-1",
            ["instance": ["uuid": given.uuid.map { .string($0) } ?? .null, "name": given.name.map { .string($0) } ?? .null]])
        record.instanceKey = given.key
        func finds(_ service: SwapService) async throws {
            for instance in [given, other] {
                #expect(try await service.status(.disk(instance, "vdb")).record.id == record.id)
                #expect(try await service.list(SwapQuery(instanceKeys: instance.keys)).map(\.record.id) == [record.id])
            }
            #expect(try await service.list(SwapQuery(instanceKeys: ["name:unknown"])).isEmpty)
        }
        let bench = ServiceBench()
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(record)
            bench.bench.hypervisor.post(.ready)
            #expect(try await bench.nextReply().outcome.result != nil)
            _ = try await bench.nextSettlement()
            try await finds(service)
        }
        // Another process knows only what the journal and libvirt say.
        try await ServiceBench(bench.bench).running { (service: SwapService) async throws in try await finds(service) }
    }

    @Test("A task is found by its id as given, or by a UUID's in lower case", arguments: [true, false])
    func idsInCapitals(hasCapitals: Bool) async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        let capitals = Fixture.uuid.uppercased()
        let id = TaskID(hasCapitals ? capitals : Fixture.uuid)
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record(id.text))
            #expect(try await service.status(.task(TaskID(capitals))).record.id == id)
            #expect(try await service.setBandwidth(.task(TaskID(capitals)), mibS: 5).record.id == id)
            _ = try await service.abort(.task(TaskID(capitals)))
            #expect(try await bench.nextReply().outcome.failure?.isAbort == true)
        }
    }

    @Test("An instance whose other name libvirt does not tell in time has no swap by it")
    func silentLibvirt() async throws {
        let bench = ServiceBench()
        bench.bench.hypervisor.change { $0.hanging = .lookup }
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.list(SwapQuery(instanceKeys: ["name:\(Fixture.domain.name)"])).isEmpty)
        }
    }

    @Test("Stopping leaves a copy running and its task unfinished")
    func stopping() async throws {
        let (copies, copy) = AsyncStream<Void>.makeStream()
        let bench = ServiceBench(Bench(FakeHypervisor { _ in copy.yield() }))
        try await bench.running { (_: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            for await _ in copies { break }
        }
        #expect(bench.bench.hypervisor.log == ["copy"])
        #expect(bench.bench.journal.stored("task-1")?.outcome == nil)
        let unfinished = try await bench.bench.journal.unfinished()
        #expect(unfinished.map(\.id) == [TaskID("task-1")])
    }
}
