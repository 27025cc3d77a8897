import Foundation
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Recovery at start", .timeLimit(.minutes(10)))
struct ServiceRecoveryTests {
    /// A record as the previous process left it.
    static func record(_ phase: SwapPhase, strategy: SwapStrategy = .copy) -> SwapRecord {
        var record = Fixture.record("task-1", ["options": ["strategy": .string(strategy.rawValue)]])
        record.phase = phase
        record.startedAt = .now
        if phase != .accepted, phase != .preparing { record.plan = Fixture.plan(strategy: strategy) }
        return record
    }

    static func recover(_ record: SwapRecord, _ script: (FakeHypervisor) -> Void) async throws -> (FakeHypervisor, SwapOutcome) {
        let bench = ServiceBench()
        script(bench.bench.hypervisor)
        bench.bench.journal.put(record)
        var outcome: SwapOutcome?
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            outcome = try await bench.nextReply().outcome
            _ = try await bench.nextSettlement()
        }
        return (bench.bench.hypervisor, try #require(outcome))
    }

    /// The state in which an undefine leaves a domain.
    static func undefined(_ hypervisor: FakeHypervisor) {
        hypervisor.change { state in
            state.status.isPersistent = false
            state.storedSource = nil
            state.metadata = try? DomainXML.recoveryMetadata(
                task: TaskID("task-1"), disk: "vdb", definition: Fixture.domainXML(source: Fixture.oldPath), isAutostarted: false)
        }
    }

    @Test("A task that had not begun begins", arguments: [SwapPhase.accepted, .preparing, .starting])
    func begins(phase: SwapPhase) async throws {
        let (hypervisor, outcome) = try await Self.recover(Self.record(phase)) { _ in }
        #expect(outcome.result != nil)
        #expect(hypervisor.log == ["copy", "pivot"])
    }

    @Test("The time-out of a swap that starts over runs from when it begins again")
    func timesOutAnew() async throws {
        var record = Self.record(.preparing)
        record.args["options"] = ["strategy": "copy", "timeout_s": 60]
        record.startedAt = Date.now - 3600
        let (_, outcome) = try await Self.recover(record) { _ in }
        #expect(outcome.result != nil, "\(String(describing: outcome.failure))")
    }

    @Test(
        "An abort that was taken on is carried out after a restart, whatever phase could be stored",
        arguments: [SwapPhase.accepted, .preparing, .rollingBack, .undefining, .starting, .copying, .ready], [true, false])
    func aborted(phase: SwapPhase, isPlanned: Bool) async throws {
        var record = Self.record(phase)
        record.isAbortRequested = true
        record.plan = isPlanned ? Fixture.plan() : nil
        let (hypervisor, outcome) = try await Self.recover(record) { hypervisor in
            guard isPlanned, phase == .copying || phase == .ready else { return }
            hypervisor.startJob(to: Fixture.newPath, ready: true, cursor: 64 << 20)
        }
        // With a plan, a roll-back that was stored goes on with the cause stored in it.
        if !isPlanned || phase != .rollingBack { #expect(outcome.failure?.isAbort == true) }
        #expect(hypervisor.count("copy") == 0 && hypervisor.count("pivot") == 0)
        hypervisor.state.withLock { #expect($0.job == nil && $0.liveSource == Fixture.oldPath) }
    }

    @Test("It is undone at once, though the turn of its instance is another's", arguments: [true, false])
    func abortedWhileWaiting(isPlanned: Bool) async throws {
        let bench = ServiceBench()
        var record = Self.record(isPlanned ? .copying : .preparing)
        record.isAbortRequested = true
        bench.bench.journal.put(record)
        if isPlanned { bench.bench.hypervisor.startJob(to: Fixture.newPath) }
        let (stops, stop) = AsyncStream<Void>.makeStream()
        bench.service.instanceQueue.fill(bench.service.instanceQueue.reserve(Fixture.uuid)) { for await _ in stops { break } }
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(try await bench.nextReply().outcome.failure?.isAbort == true)
            stop.yield()
        }
    }

    @Test(
        "A stored abort has no effect once a pivot may have been requested",
        arguments: [SwapPhase.pivoting, .finishing, .storing])
    func abortedTooLate(phase: SwapPhase) async throws {
        var record = Self.record(phase)
        record.isAbortRequested = true
        let (hypervisor, outcome) = try await Self.recover(record) { hypervisor in
            if phase == .pivoting { return hypervisor.startJob(to: Fixture.newPath, ready: true, cursor: 64 << 20) }
            hypervisor.change { ($0.liveSource, $0.storedSource) = (Fixture.newPath, Fixture.newPath) }
        }
        #expect(outcome.result != nil)
        #expect(hypervisor.count("abort") == 0 && hypervisor.state.withLock { $0.liveSource } == Fixture.newPath)
    }

    @Test("An abort of a copy that somebody else has pivoted does not undo that", arguments: [SwapPhase.copying, .ready])
    func abortedAfterAnotherPivot(phase: SwapPhase) async throws {
        var record = Self.record(phase)
        record.isAbortRequested = true
        let (_, outcome) = try await Self.recover(record) { hypervisor in
            hypervisor.change { ($0.liveSource, $0.storedSource) = (Fixture.newPath, Fixture.newPath) }
        }
        #expect(outcome.result != nil)
    }

    @Test("An abort is stored before it is answered, or says that a restart would carry out the task", arguments: [1, 1_000_000])
    func storesAborts(failures: Int) async throws {
        let (copies, copy) = AsyncStream<Void>.makeStream()
        var inner = Bench(FakeHypervisor { _ in copy.yield() })
        if failures > 1 { inner.abortStoringLimit = .milliseconds(20) }
        let bench = ServiceBench(inner)
        bench.bench.journal.fail("abort", times: failures)
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record())
            for await _ in copies { break }
            if failures == 1 {
                _ = try await service.abort(.task(TaskID("task-1")))
            } else {
                let failure = await #expect(throws: SwapFailure.self) { try await service.abort(.task(TaskID("task-1"))) }
                #expect(failure?.code == .ioError && failure?.reason.contains("cannot be stored now") == true)
            }
            #expect(bench.bench.journal.stored("task-1")?.isAbortRequested == (failures == 1))
            #expect(try await bench.nextReply().outcome.failure?.isAbort == true)
        }
    }

    @Test("A limit that set_bandwidth has given is remembered")
    func limited() async throws {
        let (copies, copy) = AsyncStream<Void>.makeStream()
        let bench = ServiceBench(Bench(FakeHypervisor { _ in copy.yield() }))
        let id = TaskID("task-1")
        try await bench.running { (service: SwapService) async throws in
            _ = await bench.submit(Fixture.record("task-1", ["options": ["strategy": "copy"]]))
            for await _ in copies { break }
            _ = try await service.setBandwidth(.task(id), mibS: 3)
        }
        let next = ServiceBench(Bench(bench.bench.hypervisor))
        next.bench.journal.put(try #require(try await bench.bench.journal.record(id)))
        try await next.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            while bench.bench.hypervisor.state.withLock({ $0.speed }) != 3 << 20 { await Task.yield() }
            bench.bench.hypervisor.post(.ready)
            #expect(try await next.nextReply().outcome.result != nil)
        }
    }

    @Test("A swap that had copied everything says so", arguments: [SwapPhase.finishing, .storing])
    func copied(phase: SwapPhase) async throws {
        let (_, outcome) = try await Self.recover(Self.record(phase)) { hypervisor in
            hypervisor.change { ($0.liveSource, $0.storedSource) = (Fixture.newPath, Fixture.newPath) }
        }
        #expect(outcome.result?["copied_bytes"] == .integer(Fixture.plan().oldBytes))
    }

    @Test("A preflight's failure that was answered before the restart stays the reason")
    func toldBefore() async throws {
        var told = SwapFailure.invalidVolume("the new volume is too small", .newVolumeTooSmall)
        told.inUse = .old
        var record = Self.record(.preparing)
        record.outcome = .failure(told)
        let bench = ServiceBench()
        bench.bench.journal.put(record)
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            #expect(try await bench.nextReply().outcome.failure?.code == .newVolumeTooSmall)
            _ = try await bench.nextSettlement()
            let ended = try await bench.bench.journal.record(record.id)?.outcome?.failure
            #expect(ended?.reason == told.reason && ended?.conclusion?.reason == told.reason)
        }
    }

    @Test("An unreadable task does not hold up others")
    func damaged() async throws {
        let bench = ServiceBench()
        let caller = ReplyTo(messageID: "m", queue: "reply", timeout: 60)
        for id in ["task-0", "task-1"] {
            var record = Fixture.record(id)
            if id == "task-0" { record.replyTo = caller }
            bench.bench.journal.put(record)
        }
        bench.bench.journal.damage("task-0")
        try await bench.running { service in
            #expect(try await service.recover() == 2)
            let replies = [try await bench.nextReply(), try await bench.nextReply()]
            #expect(replies.first { $0.id == TaskID("task-1") }?.outcome.result != nil)
            // Its caller, who gets heartbeats, does not wait forever.
            let damaged = replies.first { $0.id == TaskID("task-0") }
            #expect(damaged?.replyTo == caller && damaged?.outcome.failure?.inUse == .unknown)
            // The same message again is answered, too, and does not count as one that the disk has no room for.
            #expect(await bench.submit(Fixture.record("task-0")) == "ended")
            #expect(try await bench.nextReply().outcome.failure?.reason.contains("cannot be read") == true)
        }
    }

    @Test("All owed outcomes are delivered, however many")
    func owed() async throws {
        let bench = ServiceBench()
        for index in 0..<2000 {
            var record = Fixture.record("task-\(index)")
            record.phase = .completed
            record.outcome = .success(Fixture.result("task-\(index)"))
            bench.bench.journal.put(record)
        }
        try await bench.running { service in
            #expect(try await service.recover() == 2000)
            var told: Set<TaskID> = []
            for _ in 0..<2000 { told.insert(try await bench.nextReply().id) }
            #expect(told.count == 2000)
        }
    }

    @Test("An undefined rebase is defined again, then carried out", arguments: [SwapPhase.undefining, .starting])
    func undefinedBegins(phase: SwapPhase) async throws {
        let (hypervisor, outcome) = try await Self.recover(Self.record(phase, strategy: .rebase), Self.undefined)
        #expect(outcome.result != nil)
        #expect(Array(hypervisor.log.prefix(2)) == ["define", "clear metadata"])
        hypervisor.state.withLock { state in
            #expect(state.status.isPersistent)
            #expect(state.storedSource == Fixture.newPath)
        }
    }

    @Test("A running copy is adopted", arguments: [SwapPhase.starting, .copying, .pivoting], [SwapStrategy.copy, .rebase])
    func adopts(phase: SwapPhase, strategy: SwapStrategy) async throws {
        let (hypervisor, outcome) = try await Self.recover(Self.record(phase, strategy: strategy)) { hypervisor in
            if strategy == .rebase { Self.undefined(hypervisor) }
            hypervisor.startJob(to: Fixture.newPath, ready: true, cursor: 64 << 20)
        }
        #expect(outcome.result != nil)
        #expect(hypervisor.count("copy") + hypervisor.count("rebase") == 0)
        hypervisor.state.withLock { state in
            #expect(state.status.isPersistent)
            #expect(state.storedSource == Fixture.newPath)
        }
    }

    @Test(
        "A task whose VM is on the new volume is finished",
        arguments: [SwapPhase.copying, .pivoting, .finishing, .storing, .rollingBack])
    func finishes(phase: SwapPhase) async throws {
        let (hypervisor, outcome) = try await Self.recover(Self.record(phase, strategy: .rebase)) { hypervisor in
            Self.undefined(hypervisor)
            hypervisor.change { $0.liveSource = Fixture.newPath }
        }
        #expect(outcome.result != nil)
        #expect(hypervisor.log == ["define", "clear metadata"])
        #expect(hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
    }

    @Test(
        "A copy that ended unseen fails, with the domain persistent on the old volume",
        arguments: [SwapPhase.copying, .pivoting, .rollingBack])
    func endedUnseen(phase: SwapPhase) async throws {
        let (hypervisor, outcome) = try await Self.recover(Self.record(phase, strategy: .rebase), Self.undefined)
        #expect(outcome.failure?.kind == .volumeRebaseFailed)
        hypervisor.state.withLock { state in
            #expect(state.status.isPersistent)
            #expect(state.storedSource == Fixture.oldPath)
            #expect(state.metadata == nil)
        }
    }

    @Test(
        "A guest that went away while undefined is defined again",
        arguments: [SwapPhase.undefining, .starting, .copying, .pivoting])
    func gone(phase: SwapPhase) async throws {
        let (hypervisor, outcome) = try await Self.recover(Self.record(phase, strategy: .rebase)) { hypervisor in
            Self.undefined(hypervisor)
            hypervisor.change { state in
                state.isKnown = false
                state.status.isActive = false
            }
        }
        #expect(outcome.failure?.reason.contains("the guest went away") == true)
        #expect(hypervisor.state.withLock { $0.definitions.count } == 1)
    }

    @Test(
        "A running swap is carried through even if its message would now be refused",
        arguments: [SwapPhase.copying, .pivoting, .finishing, .storing, .undefining])
    func acceptedByAnotherVersion(phase: SwapPhase) async throws {
        var record = Self.record(phase, strategy: .rebase)
        record.args["instance"] = ["uuid": .string(Fixture.uuid), "nova_object.data": nil]
        var connection = try #require(record.args["new_connection_info"]?.objectValue)
        connection["multiattach"] = 0
        record.args["new_connection_info"] = .object(connection)
        record.args["an_argument_of_old"] = 1
        let args = record.args
        #expect(Fixture.failure { _ = try SwapRequest(args: args, defaults: SwapOptions()) }?.kind == .invalidInput)
        let (hypervisor, outcome) = try await Self.recover(record) { hypervisor in
            Self.undefined(hypervisor)
            if phase != .undefining { hypervisor.change { $0.liveSource = Fixture.newPath } }
        }
        #expect(outcome.result != nil)
        hypervisor.state.withLock { state in
            #expect(state.status.isPersistent)
            #expect(state.storedSource == Fixture.newPath)
        }
    }

    @Test("An undelivered outcome is delivered, and nothing is repeated")
    func undelivered() async throws {
        var record = Self.record(.failed)
        record.outcome = .failure(.rebaseFailed("before the restart"))
        let (hypervisor, outcome) = try await Self.recover(record) { _ in }
        #expect(outcome.failure?.reason == "before the restart")
        #expect(hypervisor.log.isEmpty)
    }

    @Test("A caller that asks again while an earlier outcome is delivered is answered too")
    func undeliveredAndAskedAgain() async throws {
        let bench = ServiceBench()
        var record = Self.record(.failed)
        record.outcome = .failure(.rebaseFailed("before the restart"))
        bench.bench.journal.put(record)
        bench.bench.journal.fail("settle")  // and is retried a moment later
        try await bench.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 1)
            let first = try await bench.nextReply()
            var again = Fixture.record("task-1")
            again.replyTo = ReplyTo(messageID: "another", queue: "reply", timeout: nil)
            #expect(await bench.submit(again) == "ended")
            let second = try await bench.nextReply()
            #expect(second.outcome == first.outcome)
            #expect(second.replyTo == again.replyTo)
        }
    }

    @Test("Another caller of a task under way is answered after a restart, too", arguments: [SwapPhase.copying, .completed])
    func askedBefore(phase: SwapPhase) async throws {
        let bench = ServiceBench()
        let other = ReplyTo(messageID: "another", queue: "reply", timeout: nil)
        bench.bench.hypervisor.startJob(to: Fixture.newPath)
        bench.bench.journal.put(Self.record(.copying))
        try await bench.running { (service: SwapService) async throws in
            _ = try await service.recover()
            var again = Fixture.record("task-1")
            again.replyTo = other
            bench.bench.journal.fail("ask")
            #expect(await bench.submit(again) == "not stored")
            #expect(await bench.submit(again) == "shared")
        }
        if phase.isFinal { try await bench.bench.journal.finish(TaskID("task-1"), .failure(.abortedByRequest), at: .now) }
        let later = ServiceBench(bench.bench)
        try await later.running { (service: SwapService) async throws in
            _ = try await service.recover()
            later.bench.hypervisor.post(.ready)
            let replies = [try await later.nextReply(), try await later.nextReply()]
            #expect(Set(replies.map(\.replyTo)) == [Fixture.record("task-1").replyTo, other])
            #expect(replies[0].outcome == replies[1].outcome)
        }
    }

    @Test("A later caller that is gone holds up no other, and is not forgotten", arguments: [true, false])
    func goneCaller(isEarly: Bool) async throws {
        let gate = AsyncStream<Void>.makeStream()
        let callers = ["gone", "another"].map { ReplyTo(messageID: $0, queue: "reply", timeout: nil) }
        var inner = Bench(FakeHypervisor(onCopy: { _ in }, cancels: false))
        inner.rollBackPatience = .milliseconds(20)
        let bench = ServiceBench(inner) { caller in if caller == callers[0] { for await _ in gate.stream {} } }
        var record = Self.record(isEarly ? .rollingBack : .failed)
        if isEarly {
            record.plan?.failure = .rebaseFailed("stalled", .stalled)
        } else {
            record.outcome = .failure(.rebaseFailed("over"))
        }
        record.askers = [callers[0]]
        bench.bench.journal.put(record)
        if isEarly { bench.bench.hypervisor.startJob(to: Fixture.newPath) }
        try await bench.running { (service: SwapService) async throws in
            _ = try await service.recover()
            let first = [try await bench.nextReply(), try await bench.nextReply()]
            #expect(Set(first.map(\.replyTo)) == [try #require(record.replyTo), callers[0]])
            var again = Fixture.record("task-1")
            again.replyTo = callers[1]
            #expect(await bench.submit(again) == "ended")
            #expect(try await bench.nextReply().replyTo == callers[1])
            // Its reply may have been lost.
            again.replyTo = callers[0]
            #expect(await bench.submit(again) == "ended")
            #expect(try await bench.nextReply().replyTo == callers[0])
            let stored = try #require(bench.bench.journal.stored("task-1"))
            #expect(stored.askers == [callers[0]] && !stored.isReplied)
            gate.continuation.finish()
            if isEarly { bench.bench.hypervisor.post(.canceled) }
            #expect(try await bench.nextSettlement() == record.id)
        }
    }

    /// Returns once the instance's queue is free.
    static func restoreOrphans(_ bench: ServiceBench) async throws {
        try await bench.running { service in
            await service.restoreOrphans()
            let (done, signal) = AsyncStream<Void>.makeStream()
            service.instanceQueue.fill(service.instanceQueue.reserve(Fixture.uuid)) { signal.yield() }
            for await _ in done { break }
        }
    }

    @Test("A domain left undefined by a lost journal is defined again", arguments: [false, true])
    func orphan(isCopying: Bool) async throws {
        let bench = ServiceBench()
        Self.undefined(bench.bench.hypervisor)
        if isCopying { bench.bench.hypervisor.startJob(to: Fixture.newPath) }
        #expect(try await bench.service.recover() == 0)
        try await Self.restoreOrphans(bench)
        bench.bench.hypervisor.state.withLock { state in
            #expect(state.status.isPersistent)
            #expect(state.storedSource == Fixture.oldPath)
            #expect(state.job == nil)
            #expect(state.metadata == nil)
        }
    }

    @Test("A copy that a task holds is not an orphan's")
    func heldCopy() async throws {
        let bench = ServiceBench()
        Self.undefined(bench.bench.hypervisor)
        bench.bench.hypervisor.startJob(to: Fixture.newPath)
        bench.service.environment.domainLocks.hold(Fixture.uuid, disk: "vdb", for: TaskID("another"))
        try await Self.restoreOrphans(bench)
        bench.bench.hypervisor.state.withLock { #expect($0.job != nil && $0.status.isPersistent && $0.metadata == nil) }
    }

    @Test("An orphan that has pivoted is stored on the new volume")
    func pivotedOrphan() async throws {
        let bench = ServiceBench()
        Self.undefined(bench.bench.hypervisor)
        bench.bench.hypervisor.change { $0.liveSource = Fixture.newPath }
        try await Self.restoreOrphans(bench)
        #expect(bench.bench.hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
    }

    @Test("What was plugged into an orphan is in its definition")
    func pluggedOrphan() async throws {
        let hypervisor = FakeHypervisor(beside: { $0 == .live ? PluggedDomain.random.live : "" })
        let bench = ServiceBench(Bench(hypervisor))
        Self.undefined(hypervisor)
        let definition = Fixture.domainXML(source: Fixture.oldPath)
        hypervisor.change { state in
            state.metadata = try? DomainXML.recoveryMetadata(
                task: TaskID("task-1"), disk: "vdb", definition: definition, isAutostarted: false,
                liveDevices: try DomainXML.devices(definition))
        }
        try await Self.restoreOrphans(bench)
        #expect(hypervisor.state.withLock { $0.definitions.first }?.contains("/dev/urandom") == true)
    }

    @Test("The metadata of a persistent domain is removed, its definition left alone")
    func persistentOrphan() async throws {
        let bench = ServiceBench()
        Self.undefined(bench.bench.hypervisor)
        bench.bench.hypervisor.change { state in
            state.status.isPersistent = true
            state.storedSource = Fixture.oldPath
        }
        try await Self.restoreOrphans(bench)
        #expect(bench.bench.hypervisor.log == ["clear metadata"])
    }
}
