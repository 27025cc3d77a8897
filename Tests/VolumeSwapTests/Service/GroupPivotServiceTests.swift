import Foundation
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("pivot_swap of several disks of one instance", .timeLimit(.minutes(10)))
struct GroupPivotServiceTests {
    static let ids = GroupBench.ids
    private static let unknown = HypervisorError(.busy, "no answer")

    private func refusal(_ service: SwapService) async throws -> SwapFailure {
        try #require(await #expect(throws: SwapFailure.self) { try await service.pivot(Self.ids) })
    }

    @Test("Both pivot while the guest is paused, and then it runs again")
    func pivots() async throws {
        let bench = GroupBench()
        try await bench.holding { (service: SwapService) async throws in
            #expect(service.held == 2)
            let swaps = try await service.pivot(Self.ids)
            #expect(swaps.map(\.record.id) == Self.ids && swaps.allSatisfy { $0.phase != .ready })
            #expect(try await bench.warnings().isEmpty)
        }
        #expect(bench.pivots.seen == [.pausedOnRequest, .pausedOnRequest])
        #expect(bench.guest == .running && bench.moved == ["vdb", "vdc"])
        #expect(bench.twin.one.log.filter { ["suspend", "pivot", "resume"].contains($0) } == ["suspend", "pivot", "resume"])
        #expect(bench.service.service.held == 0)
        for id in Self.ids { #expect(bench.journal.stored(id.text)?.phase == .completed) }
    }

    @Test(
        "A guest that was paused before stays paused, whatever paused it",
        arguments: [GuestState.pausedOnRequest, .paused("I/O error")])
    func pausedBefore(state: GuestState) async throws {
        let bench = GroupBench()
        try await bench.holding { (service: SwapService) async throws in
            bench.twin.one.change { $0.guest = state }
            _ = try await service.pivot(Self.ids)
            #expect(try await bench.warnings().isEmpty)
        }
        #expect(bench.guest == state && bench.moved == ["vdb", "vdc"])
        #expect(bench.twin.one.count("suspend") == 0 && bench.twin.one.count("resume") == 0)
    }

    @Test("Until the guest is paused everything that fails leaves both held, and the call can be made again")
    func refused() async throws {
        let bench = GroupBench()
        try await bench.holding { (service: SwapService) async throws in
            bench.twin.one.fail(.suspend, .init(error: HypervisorError(.other, number: 1, "cannot suspend")))
            #expect(try await refusal(service).reason.contains("cannot suspend"))
            #expect(bench.guest == .running && bench.moved == [])
            bench.twin.one.fail(.guestState, .init(error: Self.unknown))
            let failure = try await refusal(service)
            #expect(failure.inUse == .old && failure.kind == .volumeRebaseFailed && failure.code.isRetryable)
            for id in Self.ids { #expect(try await service.status(.task(id)).phase == .ready) }
            _ = try await service.pivot(Self.ids)
            #expect(try await bench.warnings().isEmpty)
        }
        #expect(bench.moved == ["vdb", "vdc"] && bench.guest == .running)
    }

    @Test("A suspend whose answer is lost is undone")
    func lostAnswer() async throws {
        let bench = GroupBench()
        try await bench.holding { (service: SwapService) async throws in
            bench.twin.one.fail(.suspend, .init(error: HypervisorError(.connectionLost, "(done)"), isDone: true))
            bench.twin.one.fail(.resume, .init(error: Self.unknown), .init(error: HypervisorError(.connectionLost, "gone")))
            bench.twin.one.change { $0.hanging = .resume }
            // The caller is told before the guest runs again; asked again meanwhile, it is told the same.
            let reason = try await refusal(service).reason
            #expect(bench.guest == .pausedOnRequest)
            #expect(try await refusal(service).reason == reason)
            bench.twin.one.change { $0.hanging = nil }
            try await bench.untilHeld(service)
            #expect(bench.guest == .running && bench.pivots.seen == [])
            for id in Self.ids { _ = try await service.abort(.task(id)) }
            #expect(try await bench.outcomes().values.allSatisfy { $0.failure?.isAbort == true })
        }
    }

    @Test("A suspend that hangs does not hold up the group for ever")
    func hangingSuspend() async throws {
        let bench = GroupBench(limit: .milliseconds(400))
        try await bench.holding { (service: SwapService) async throws in
            bench.twin.one.change { $0.hanging = .suspend }
            _ = try await refusal(service)
            bench.twin.one.change { $0.hanging = nil }
            try await bench.untilHeld(service)
            #expect(bench.guest == .running && bench.moved == [] && bench.twin.one.count("resume") == 1)
        }
    }

    @Test("A mirror that is not in step with the guest paused leaves both held")
    func outOfStep() async throws {
        let fakes = Mutex<TwinHypervisor?>(nil)
        let bench = GroupBench(limit: .milliseconds(400)) {
            fakes.withLock { $0 }?.two.change { state in
                state.isStuck = true
                state.job = BlockJobInfo(type: "copy", cursor: 5, end: 10)
            }
        }
        fakes.withLock { $0 = bench.twin }
        try await bench.holding { (service: SwapService) async throws in
            // The caller is told once the next start would hold them, too.
            bench.journal.fail("enter:ready", times: 4)
            #expect(try await refusal(service).reason.contains("in step"))
            #expect(bench.journal.failures("enter:ready") == 4)
            #expect(Self.ids.contains { bench.journal.stored($0.text)?.phase == .ready })
            #expect(bench.guest == .running && bench.pivots.seen == [])
            for id in Self.ids { #expect(try await service.status(.task(id)).phase == .ready) }
        }
    }

    @Test("One whose copy fails, or that is aborted, before the pause leaves the other held", arguments: [true, false])
    func incomplete(isAborted: Bool) async throws {
        let bench = GroupBench()
        try await bench.holding { (service: SwapService) async throws in
            let locks = service.environment.domainLocks
            try await locks.acquire(Fixture.uuid, for: TaskID("other"))
            let call = Task { try await service.pivot(Self.ids) }
            while locks.waiting(Fixture.uuid) == 0 { await Task.yield() }
            if isAborted { _ = try await service.abort(.task(Self.ids[1])) } else { bench.twin.two.post(.failed) }
            let failure = try #require(await #expect(throws: SwapFailure.self) { try await call.value })
            let cause = isAborted ? "aborted by request" : "the copy failed"
            #expect(failure.reason.contains("task-c") && failure.reason.contains(cause))
            #expect(try await bench.service.nextReply().id == Self.ids[1])
            locks.release(TaskID("other"))
            #expect(bench.twin.one.count("suspend") == 0 && bench.guest == .running)
            #expect(try await service.status(.task(Self.ids[0])).phase == .ready)
            _ = try await service.pivot([Self.ids[0]])
            #expect(try await bench.service.nextReply().outcome.result != nil)
        }
        #expect(bench.moved == ["vdb"] && bench.pivots.seen == [.running])
    }

    @Test("A pivot that is refused for one disk: the other has moved, and each is told the truth")
    func oneRefused() async throws {
        let bench = GroupBench(onPivot: { disk throws(HypervisorError) in
            if disk.disk == "vdb" { return disk.finishPivot() }
            disk.post(.failed)
        })
        try await bench.holding { (service: SwapService) async throws in
            _ = try await service.pivot(Self.ids)
            let outcomes = try await bench.outcomes()
            #expect(outcomes[Self.ids[1]]?.failure?.inUse == .old)
            let warnings = outcomes[Self.ids[0]]?.result?["warnings"]?.arrayValue ?? []
            #expect(warnings.compactMap(\.stringValue).contains { $0.contains("old volume of task task-c") })
        }
        #expect(bench.moved == ["vdb"] && bench.guest == .running && bench.pivots.seen == [.pausedOnRequest, .pausedOnRequest])
    }

    @Test("A pivot that hangs does not keep the guest paused: it runs again, and the callers are told")
    func hangingPivot() async throws {
        let bench = GroupBench(
            limit: .milliseconds(600),
            onPivot: { disk throws(HypervisorError) in
                if disk.disk == "vdb" { return disk.finishPivot() }
                disk.change { $0.isEnding = "pivot" }
            })
        try await bench.holding { (service: SwapService) async throws in
            _ = try await service.pivot(Self.ids)
            while bench.guest != .running { await Task.yield() }
            let one = try await bench.service.nextReply()
            #expect(one.id == Self.ids[0])
            // A restart would not resume a guest that somebody pauses from now on.
            while bench.journal.stored("task-c")?.plan?.pivotGroup != nil { try await Task.sleep(for: .milliseconds(5)) }
            #expect(bench.journal.stored("task-c")?.plan?.warnings.contains { $0.contains("not one point in time") } == true)
            bench.twin.two.finishPivot()
            let two = try await bench.service.nextReply()
            for reply in [one, two] {
                let warnings = reply.outcome.result?["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? []
                #expect(warnings.count { $0.contains("before task task-c of the group had pivoted") } == 1, "\(warnings)")
            }
        }
        #expect(bench.moved == ["vdb", "vdc"])
    }

    @Test("Somebody who resumes the guest meanwhile is reported")
    func resumedByOthers() async throws {
        let bench = GroupBench(onPivot: { disk throws(HypervisorError) in
            if disk.disk == "vdb" { disk.change { $0.guest = .running } }
            disk.finishPivot()
        })
        try await bench.holding { (service: SwapService) async throws in
            _ = try await service.pivot(Self.ids)
            #expect(try await bench.warnings().count { $0.contains("somebody resumed the guest") } == 2)
        }
    }

    @Test("Asked again meanwhile it joins the group; another task cannot, nor be pivoted or aborted beside it")
    func again() async throws {
        let (gates, gate) = AsyncStream<Void>.makeStream()
        let bench = GroupBench(onPause: { for await _ in gates { break } })
        try await bench.holding { (service: SwapService) async throws in
            let call = Task { try await service.pivot(Self.ids) }
            while bench.guest == .running { await Task.yield() }
            let again = Task { try await service.pivot(Self.ids.reversed()) }
            let part = Task { try await service.pivot([Self.ids[0]]) }
            for id in Self.ids {
                let failure = await #expect(throws: SwapFailure.self) { try await service.abort(.task(id)) }
                #expect(failure?.kind == .invalidInput)
            }
            gate.yield()
            #expect(try await call.value.count == 2)
            _ = try? await again.value
            _ = try? await part.value
            #expect(try await bench.warnings().isEmpty)
        }
        #expect(bench.pivots.seen == [.pausedOnRequest, .pausedOnRequest] && bench.twin.one.count("suspend") == 1)
    }

    @Test("When pivotd stops with the guest paused, it resumes the guest")
    func stops() async throws {
        let bench = GroupBench(onPause: { while !Task.isCancelled { await Task.yield() } })
        try await bench.holding { (service: SwapService) async throws in
            Task { try await service.pivot(Self.ids) }
            while bench.guest == .running { await Task.yield() }
        }
        #expect(bench.guest == .running && bench.pivots.seen == [])
        for id in Self.ids { #expect(bench.journal.stored(id.text)?.phase.isFinal == false) }
    }

    @Test("After a crash with the guest paused it is resumed first, and both pivot, with a warning")
    func crash() async throws {
        let bench = GroupBench()
        bench.putHeld([.pivoting, .pivoting], PivotGroupMark(members: Self.ids, pauses: true))
        bench.twin.one.change { $0.guest = .pausedOnRequest }
        bench.twin.one.fail(.resume, .init(error: Self.unknown))
        try await bench.service.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 2)
            #expect(try await bench.warnings().count { $0 == InterruptedGroups.warning } == 2)
        }
        #expect(bench.guest == .running && bench.pivots.seen == [.running, .running] && bench.moved == ["vdb", "vdc"])
    }

    @Test("After a crash a guest that somebody else had paused stays paused")
    func crashOfPaused() async throws {
        let bench = GroupBench()
        bench.putHeld([.pivoting, .pivoting], PivotGroupMark(members: Self.ids, pauses: false))
        bench.twin.one.change { $0.guest = .pausedOnRequest }
        try await bench.service.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 2)
            _ = try await bench.warnings()
        }
        #expect(bench.guest == .pausedOnRequest && bench.moved == ["vdb", "vdc"])
    }

    @Test(
        "After a crash before any pivot was requested the guest is resumed and both are held again, to be pivoted as a group",
        arguments: [[SwapPhase.pivoting, .ready], [.ready, .ready]])
    func crashBefore(phases: [SwapPhase]) async throws {
        let bench = GroupBench()
        bench.putHeld(phases, PivotGroupMark(members: Self.ids, pauses: true))
        bench.twin.one.change { $0.guest = .pausedOnRequest }
        try await bench.service.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 2)
            for id in Self.ids {
                while bench.journal.stored(id.text)?.plan?.pivotGroup != nil { await Task.yield() }
                #expect(bench.journal.stored(id.text)?.phase == .ready)
            }
            while bench.guest != .running { await Task.yield() }
            #expect(bench.pivots.seen == [])
            _ = try await service.pivot(Self.ids)
            #expect(try await bench.warnings().allSatisfy { !$0.contains("point in time") })
        }
        #expect(bench.pivots.seen == [.pausedOnRequest, .pausedOnRequest] && bench.guest == .running)
    }

    @Test("A start that ends before it could resume the guest leaves that to the next one")
    func crashTwice() async throws {
        let bench = GroupBench()
        bench.putHeld([.ready, .pivoting], PivotGroupMark(members: Self.ids, pauses: true))
        bench.twin.one.change { ($0.guest, $0.hanging) = (.pausedOnRequest, .resume) }
        try await bench.service.running { (service: SwapService) async throws in
            #expect(try await service.recover() == 2)
            await bench.twin.one.untilHanging()
            // Long enough for both to go on if they did not wait.
            for _ in 0..<10_000 { await Task.yield() }
        }
        #expect(bench.guest == .pausedOnRequest)
        for id in Self.ids { #expect(bench.journal.stored(id.text)?.plan?.pivotGroup?.pauses == true) }
        bench.twin.one.change { $0.hanging = nil }
        try await ServiceBench(bench.service.bench).running { (service: SwapService) async throws in
            #expect(try await service.recover() == 2)
            for id in Self.ids {
                while bench.journal.stored(id.text)?.plan?.pivotGroup != nil { await Task.yield() }
                #expect(bench.journal.stored(id.text)?.phase == .ready)
            }
            #expect(bench.guest == .running)
        }
        #expect(bench.pivots.seen == [])
    }

    @Test("When pivotd stops and cannot resume the guest, the next start does, and the swaps are held again")
    func stopsWithoutLibvirt() async throws {
        let bench = GroupBench(onPause: { while !Task.isCancelled { await Task.yield() } })
        try await bench.holding { (service: SwapService) async throws in
            bench.twin.one.fail(.resume, .init(error: HypervisorError(.connectionLost, "gone")))
            Task { try await service.pivot(Self.ids) }
            while bench.guest == .running { await Task.yield() }
        }
        #expect(bench.guest == .pausedOnRequest)
        for id in Self.ids {
            let record = try #require(bench.journal.stored(id.text))
            #expect(record.phase == .ready && record.plan?.pivotGroup?.pauses == true)
        }
    }
}
