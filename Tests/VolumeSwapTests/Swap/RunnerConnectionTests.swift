import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("The hypervisor's connection is lost during a call")
struct RunnerConnectionTests {
    static func lost(done: Bool) -> FakeHypervisor.Trouble {
        .init(error: HypervisorError(.connectionLost, done ? "gone (done)" : "gone"), isDone: done)
    }

    @Test(
        "A write in doubt is resolved, whether or not it was done",
        arguments: [FakeHypervisor.Call.setMetadata, .undefine, .rebase, .define, .pivot], [true, false])
    func rebase(call: FakeHypervisor.Call, done: Bool) async throws {
        let bench = Bench()
        bench.hypervisor.fail(call, Self.lost(done: done))
        let outcome = try await bench.run(["options": ["strategy": "rebase"]])
        #expect(outcome?.result != nil)
        bench.hypervisor.state.withLock { state in
            #expect(state.liveSource == Fixture.newPath)
            #expect(state.storedSource == Fixture.newPath)
            #expect(state.status.isPersistent)
        }
    }

    @Test("The same for a copy that grows", arguments: [FakeHypervisor.Call.copy, .pivot, .grow], [true, false])
    func copy(call: FakeHypervisor.Call, done: Bool) async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 2 << 30)
        bench.hypervisor.fail(call, Self.lost(done: done))
        let outcome = try await bench.run(["resize_to": 1])
        #expect(outcome?.result != nil)
        #expect(bench.hypervisor.count("copy") == (call == .copy && !done ? 2 : 1))
        #expect(bench.hypervisor.state.withLock { $0.capacity } == 1 << 30)
    }

    @Test("A copy whose destination libvirt forgot is ended and restarted", arguments: ["copy", "rebase"])
    func forgottenCopy(strategy: String) async throws {
        let bench = Bench(
            FakeHypervisor { hypervisor in
                if hypervisor.count("abort") == 0 { return hypervisor.change { $0.mirror = nil } }
                hypervisor.post(.ready)
            })
        bench.hypervisor.fail(strategy == "copy" ? .copy : .rebase, Self.lost(done: true))
        #expect(try await bench.run(["options": ["strategy": .string(strategy)]])?.result != nil)
        #expect(bench.hypervisor.count("abort") == 1)
        #expect(bench.hypervisor.count(strategy) == 2)
        #expect(bench.hypervisor.state.withLock { $0.liveSource } == Fixture.newPath)
    }

    /// The connection is lost during the pivot; libvirt comes back without the job, on the old volume, while QEMU is on the new
    /// one.
    static func losingTrack() -> FakeHypervisor {
        FakeHypervisor(onPivot: { hypervisor throws(HypervisorError) in
            hypervisor.change { state in
                state.mirror = nil
                state.job = nil
                state.hasPivotedUnnoticed = true
            }
            throw HypervisorError(.connectionLost, "gone")
        })
    }

    @Test("A pivot that libvirt lost track of is mirrored back and fails", arguments: ["copy", "rebase"])
    func pivotedUnnoticed(strategy: String) async throws {
        let bench = Bench(Self.losingTrack())
        let failure = try await bench.run(["options": ["strategy": .string(strategy)]])?.failure
        #expect(failure?.reason.contains("mirrored back to the old volume") == true)
        #expect(bench.hypervisor.count("bring back") == 1)
        RunnerFailureTests.expectUntouched(bench)
    }

    @Test("A disk that cannot be mirrored back fails, stored on the volume that QEMU runs")
    func notMirroredBack() async throws {
        let bench = Bench(Self.losingTrack())
        bench.hypervisor.fail(.mirrorBack, .init(error: HypervisorError(.other, "no such node")))
        let failure = try await bench.run(["options": ["strategy": "rebase"]])?.failure
        #expect(failure?.reason.contains("Keep both volumes") == true)
        #expect(failure?.reason.contains("no such node") == true)
        bench.hypervisor.state.withLock { state in
            #expect(state.storedSource == Fixture.newPath)
            #expect(state.status.isPersistent)
        }
    }

    @Test("An inspection that loses the connection is repeated")
    func look() async throws {
        let hypervisor = FakeHypervisor { hypervisor in
            hypervisor.fail(.jobInfo, Self.lost(done: false))
            hypervisor.change { state in
                state.mirror?.isReady = true
                state.job?.cursor = 64 << 20
            }
        }
        let bench = Bench(hypervisor)
        #expect(try await bench.run()?.result != nil)
    }

    @Test("A roll-back in doubt is resolved", arguments: [FakeHypervisor.Call.abort, .define], [true, false])
    func rollBack(call: FakeHypervisor.Call, done: Bool) async throws {
        let bench = Bench(FakeHypervisor { $0.post(.recheck) }).abortedWhileCopying()
        bench.hypervisor.fail(call, Self.lost(done: done))
        let failure = try await bench.run(["options": ["strategy": "rebase"]])?.failure
        #expect(failure?.isAbort == true)
        #expect(failure?.leftBehind == [])
        RunnerFailureTests.expectUntouched(bench)
    }

    @Test("A roll-back is retried until it succeeds", arguments: [FakeHypervisor.Call.abort, .define])
    func stubborn(call: FakeHypervisor.Call) async throws {
        let bench = Bench(FakeHypervisor { _ in }).abortedWhileCopying()
        let trouble = FakeHypervisor.Trouble(error: HypervisorError(.other, "cannot do it now"))
        bench.hypervisor.fail(call, trouble, trouble, trouble)
        let failure = try await bench.run(["options": ["strategy": "rebase"]])?.failure
        #expect(failure?.isAbort == true)
        #expect(failure?.inUse == .old)
        #expect(failure?.leftBehind == [])
        RunnerFailureTests.expectUntouched(bench)
    }

    @Test("A refused step is rolled back", arguments: [FakeHypervisor.Call.setMetadata, .undefine, .rebase])
    func refused(call: FakeHypervisor.Call) async throws {
        let bench = Bench()
        bench.hypervisor.fail(call, .init(error: HypervisorError(.other, number: 1, "refused by libvirt")))
        let failure = try await bench.run(["options": ["strategy": "rebase"]])?.failure
        #expect(failure?.kind == .volumeRebaseFailed)
        #expect(failure?.reason.contains("refused by libvirt") == true)
        RunnerFailureTests.expectUntouched(bench)
    }

    @Test(
        "A definition that cannot be written after the pivot is retried, then fails with the new volume in use",
        arguments: [(FakeHypervisor.Call.define, JSONValue.string("rebase")), (.save, "copy")])
    func defineRefused(call: FakeHypervisor.Call, strategy: JSONValue) async throws {
        for retry in [Duration.seconds(60), .zero] {
            var bench = Bench()
            bench.storeRetry = retry
            bench.hypervisor.fail(call, .init(error: HypervisorError(.other, "read-only file system")))
            let answers = Mutex<[SwapFailure]>([])
            let outcome = try await bench.run(["options": ["strategy": strategy]]) { failure in
                answers.withLock { $0.append(failure) }
            }
            let told = outcome?.failure.map { [$0] } ?? answers.withLock { $0 }
            #expect(told.isEmpty == (retry > .zero))
            // What pivotd removed is written in the end.
            #expect((outcome?.result != nil) == (retry > .zero || strategy == "rebase"))
            #expect(bench.hypervisor.state.withLock { $0.liveSource } == Fixture.newPath)
            guard let failure = told.first else { continue }
            #expect(failure.reason.contains("read-only file system"))
            #expect(failure.code == .configurationFailed)
            #expect(failure.inUse == .new)
        }
    }
}
