import Foundation
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Hanging calls hold up neither callers nor other tasks", .timeLimit(.minutes(5)))
struct ServiceHangTests {
    static let busy = FakeHypervisor.Trouble(error: HypervisorError(.busy, number: 68, "cannot acquire state change lock"))

    /// A service whose copies cannot be cancelled, and which answers soon.
    static func bench(patience: Duration = .milliseconds(20)) -> ServiceBench {
        var bench = Bench(FakeHypervisor(onCopy: { _ in }, cancels: false))
        bench.rollBackPatience = patience
        return ServiceBench(bench)
    }

    static func record(_ phase: SwapPhase) -> SwapRecord {
        var record = Fixture.record("task-1")
        record.phase = phase
        record.startedAt = .now
        record.plan = Fixture.plan()
        return record
    }

    /// The same, with a task answered as failed before a restart, and settled.
    static func told(_ record: SwapRecord, _ failure: SwapFailure = .abortedByRequest) -> SwapRecord {
        var record = record
        record.outcome = .failure(failure)
        record.replyTo = nil
        record.isReplied = true
        return record
    }

    /// Puts a stalled copy that was being rolled back.
    static func putStalled(_ bench: ServiceBench) -> SwapRecord {
        var record = record(.rollingBack)
        record.plan?.failure = .rebaseFailed("stalled", .stalled)
        bench.bench.journal.put(record)
        bench.bench.hypervisor.startJob(to: Fixture.newPath)
        return record
    }

    @Test("A failure whose roll-back hangs is reported once, stays the outcome, and the task goes on")
    func toldEarly() async throws {
        let bench = Self.bench()
        let record = Self.putStalled(bench)
        try await bench.running { (service: SwapService) async throws in
            _ = try await service.recover()
            let first = try await bench.nextReply()
            #expect(first.outcome.failure?.inUse == .old)
            #expect(first.outcome.failure?.leftBehind.isEmpty == false)
            while bench.bench.journal.stored("task-1")?.isReplied != true { await Task.yield() }
            let status = try await service.status(.task(record.id))
            #expect(status.phase.publicState == "finishing")
            #expect(status.failure?.code == .stalled)
            #expect(service.pendingRollBacks == 1)
            var again = Fixture.record("task-1")
            again.replyTo = ReplyTo(messageID: "another", queue: "reply", timeout: nil)
            while await bench.submit(again) != "ended" { await Task.yield() }
            #expect(try await bench.nextReply().outcome == first.outcome)
            // A swap of the same instance, waiting for the roll-back.
            #expect(await bench.submit(Fixture.record("task-2")) == "accepted")
            bench.bench.hypervisor.post(.canceled)
            #expect(try await bench.nextSettlement() == record.id)
            #expect(bench.bench.journal.stored("task-1")?.outcome?.asTold == first.outcome)
            #expect(bench.bench.journal.stored("task-1")?.phase == .failed)
            #expect(service.pendingRollBacks == 0)
            // The status says how it ended; the answer stays what it was, also when it is repeated.
            let ended = try #require(try await service.status(.task(record.id)).failure)
            #expect(ended.leftBehind.isEmpty && ended.inUse == .old && ended.reason == "stalled")
            again.replyTo = ReplyTo(messageID: "a third", queue: "reply", timeout: nil)
            while await bench.submit(again) != "ended" { await Task.yield() }
            #expect(try await bench.nextReply().outcome.asTold == first.outcome)
        }
    }

    @Test("All who have asked for the task are told early, also if the first is gone")
    func allToldEarly() async throws {
        let bench = Self.bench(patience: .milliseconds(300))
        let record = Self.putStalled(bench)
        try await bench.running { (service: SwapService) async throws in
            _ = try await service.recover()
            var again = Fixture.record("task-1")
            again.replyTo = ReplyTo(messageID: "another", queue: "reply", timeout: nil)
            _ = await bench.submit(again)
            let replies = [try await bench.nextReply(), try await bench.nextReply()]
            #expect(Set(replies.map(\.replyTo)) == [try #require(record.replyTo), try #require(again.replyTo)])
            #expect(replies[0].outcome == replies[1].outcome)
            #expect(service.pendingRollBacks == 1)
            bench.bench.hypervisor.post(.canceled)
            _ = try await bench.nextSettlement()
        }
    }

    @Test("A failure reported before a restart is not repeated, and its roll-back goes on")
    func goesOnAfterRestart() async throws {
        let bench = Self.bench()
        var record = Self.record(.rollingBack)
        record.plan?.failure = .rebaseFailed("stalled", .stalled)
        record = Self.told(record, .rebaseFailed("stalled; and more", .stalled))
        bench.bench.journal.put(record)
        bench.bench.hypervisor.startJob(to: Fixture.newPath)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            while bench.bench.hypervisor.count("abort") == 0 { await Task.yield() }
            bench.bench.hypervisor.post(.canceled)
            #expect(try await bench.nextSettlement() == record.id)
            #expect(bench.bench.journal.stored("task-1")?.outcome?.asTold == record.outcome)
        }
    }

    @Test("What was still to be undone at a restart is not left behind once it is done")
    func remainderIsGone() async throws {
        let bench = ServiceBench()
        let cause = SwapFailure.rebaseFailed("stalled", .stalled)
        let record = Self.told(Self.record(.copying), cause.leaving("the copy could not be ended yet"))
        bench.bench.journal.put(record)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(try await bench.nextSettlement() == record.id)
            let ended = try #require(try await service.status(.task(record.id)).failure)
            #expect(ended.reason == "stalled" && ended.leftBehind.isEmpty && ended.inUse == .old)
        }
    }

    @Test("A task reported as failed is rolled back after a restart, whatever its journaled phase")
    func toldBeforeItsPhase() async throws {
        let bench = ServiceBench()
        let record = Self.told(Self.record(.starting))
        bench.bench.journal.put(record)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(try await bench.nextSettlement() == record.id)
            #expect(bench.bench.journal.stored("task-1")?.phase == .aborted)
            #expect(bench.bench.hypervisor.count("copy") == 0)
        }
    }

    @Test("A task reported as failed before it had a plan is not carried out after a restart")
    func toldWithoutPlan() async throws {
        let bench = ServiceBench()
        var record = Fixture.record("task-1")
        record.phase = .preparing
        record.startedAt = .now
        record = Self.told(record)
        bench.bench.journal.put(record)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(try await bench.nextSettlement() == record.id)
        }
        #expect(bench.bench.hypervisor.count("copy") == 0)
    }

    @Test("An answer that cannot be stored is not sent")
    func answerNotStored() async throws {
        let bench = Self.bench()
        let hypervisor = bench.bench.hypervisor
        bench.bench.journal.fail("answer", times: 1_000_000)
        try await bench.running { (service: SwapService) async throws in
            #expect(await bench.submit(Fixture.record("task-1")) == "accepted")
            while hypervisor.count("copy") == 0 { await Task.yield() }
            _ = try await service.abort(.task(TaskID("task-1")))
            while bench.bench.journal.failures("answer") == 0 { await Task.yield() }
            hypervisor.post(.canceled)
            // The roll-back has ended: this is the outcome, stored before it was reported.
            let reply = try await bench.nextReply()
            #expect(reply.outcome.failure?.leftBehind == [])
            #expect(bench.bench.journal.stored("task-1")?.outcome == reply.outcome)
        }
    }

    @Test("A question is answered although libvirt is silent")
    func silentLibvirt() async throws {
        var inner = Bench()
        inner.answerLimit = .milliseconds(20)
        inner.hypervisor.change { $0.hanging = .lookup }
        let service = ServiceBench(inner).service
        let instance = try InstanceReference(json: .string(Fixture.uuid))
        let failure = await #expect(throws: SwapFailure.self) { _ = try await service.volumes(of: instance) }
        #expect(failure?.code == .timedOut)
    }

    @Test("A swap that waits for something hanging gives up its slot to another instance")
    func givesUpSlot() async throws {
        var bench = Bench(FakeHypervisor { _ in })
        bench.rollBackPatience = .milliseconds(5)
        bench.maxConcurrentSwaps = 1
        let service = ServiceBench(bench)
        for _ in 0..<1000 { bench.hypervisor.fail(.status, Self.busy) }
        bench.journal.put(Self.record(.copying))
        try await service.running { (swaps: SwapService) async throws in
            _ = try await swaps.recover()
            let (runs, run) = AsyncStream<Void>.makeStream()
            swaps.instanceQueue.fill(swaps.instanceQueue.reserve("another")) { run.yield() }
            for await _ in runs { break }
            #expect(bench.journal.stored("task-1")?.phase == .copying)
        }
    }

    @Test("Recovery does not wait for a hanging hypervisor, and other instances' tasks run")
    func recoversWithoutHypervisor() async throws {
        let bench = ServiceBench()
        bench.bench.journal.put(Self.record(.copying))
        let hypervisor = bench.bench.hypervisor
        for _ in 0..<3 { hypervisor.fail(.status, Self.busy) }
        hypervisor.startJob(to: Fixture.newPath, ready: true, cursor: 64 << 20)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(try await bench.nextReply().outcome.result != nil)
        }
    }

    @Test("A pivot under way after a restart is not aborted but awaited")
    func pivotUnderWay() async throws {
        let bench = ServiceBench()
        bench.bench.journal.put(Self.record(.pivoting))
        let hypervisor = bench.bench.hypervisor
        hypervisor.startJob(to: Fixture.newPath, ready: true, cursor: 64 << 20)
        hypervisor.change { $0.isEnding = "pivot" }
        try await bench.running { (service: SwapService) async throws in
            _ = try await service.recover()
            await #expect(throws: SwapFailure.self) { try await service.abort(.task(TaskID("task-1"))) }
            hypervisor.finishPivot()
            #expect(try await bench.nextReply().outcome.result != nil)
            #expect(hypervisor.count("abort") == 0)
        }
    }

    @Test("A waiting task from before a restart undoes what it had begun when aborted")
    func abortWaiting() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        // Another task holds the instance's queue.
        let (stops, stop) = AsyncStream<Void>.makeStream()
        bench.service.instanceQueue.fill(bench.service.instanceQueue.reserve(Fixture.uuid)) { for await _ in stops { break } }
        bench.bench.journal.put(Self.record(.copying))
        bench.bench.hypervisor.startJob(to: Fixture.newPath)
        try await bench.running { (service: SwapService) async throws in
            _ = try await service.recover()
            _ = try await service.abort(.task(TaskID("task-1")))
            let failure = try await bench.nextReply().outcome.failure
            #expect(failure?.isAbort == true && failure?.inUse == .old)
            #expect(bench.bench.hypervisor.count("abort") == 1)
            stop.yield()
        }
    }

    @Test("An invalid swap is answered at once and is not a task of the instance")
    func refused() async throws {
        let bench = ServiceBench(Bench(FakeHypervisor { _ in }))
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record("running"))
            let record = Fixture.record("refused", instanceKey: "refused:\(Fixture.uuid)")
            guard case .accepted = await service.carryOut(service.take(record, refusal: .invalidInput("mountpoint: missing")))
            else {
                Issue.record("not accepted")
                return
            }
            let reply = try await bench.nextReply()
            #expect(reply.id == record.id)
            #expect(reply.outcome.failure?.code == .invalidArgument)
            #expect(try await service.status(.task(record.id)).phase == .failed)
        }
    }

    @Test("An instance's name and its UUID are the same instance")
    func oneKey() async throws {
        let locks = DomainLocks()
        try await locks.acquire("u", for: TaskID("first"))
        let second = Task { try await locks.acquire("u", for: TaskID("second")) }
        let third = Task { try await locks.acquire("u", for: TaskID("third")) }
        while locks.waiting("u") < 2 { await Task.yield() }
        third.cancel()
        await #expect(throws: CancellationError.self) { try await third.value }
        locks.release(TaskID("first"))
        try await second.value
        locks.learn("instance-1", "u")
        #expect(locks.queue(for: "name:instance-1") == "u")
        #expect(locks.queue(for: "name:another") == "name:another")
    }
}
