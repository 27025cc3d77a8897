import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("What shows that a disk has moved, and what does not", .timeLimit(.minutes(5)))
struct RunnerEvidenceTests {
    /// The guest stops during its copy.
    private static func destroy(_ hypervisor: FakeHypervisor, storedSource: String) {
        hypervisor.change { state in
            (state.status.isActive, state.mirror, state.job, state.storedSource) = (false, nil, nil, storedSource)
        }
        hypervisor.post(.stopped(reason: "destroyed from the host"))
    }

    @Test("A stored configuration that names the new volume already is refused: the guest could start on half a copy")
    func storedOnNew() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.storedSource = Fixture.newPath }
        let failure = try await bench.run()?.failure
        #expect(failure?.code == .oldVolumeMismatch)
        #expect(failure?.inUse == .old)
        #expect(bench.hypervisor.log == [])
    }

    @Test("A guest whose configuration was edited during the copy, and that stopped, has not moved")
    func editedDuringCopy() async throws {
        let bench = Bench(FakeHypervisor { Self.destroy($0, storedSource: Fixture.newPath) })
        let failure = try await bench.run()?.failure
        #expect(failure?.code == .guestGone)
        #expect(failure?.inUse == .unknown)
        #expect(failure?.reason.contains("keep both volumes") == true)
        #expect(bench.hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
    }

    @Test("A guest that was started again on half a copy has not moved")
    func startedOnCopy() async throws {
        let bench = Bench(
            FakeHypervisor { hypervisor in
                Self.destroy(hypervisor, storedSource: Fixture.newPath)
                hypervisor.change { ($0.status.isActive, $0.liveSource) = (true, Fixture.newPath) }
            })
        let failure = try await bench.run()?.failure
        #expect(failure?.code == .guestGone)
        #expect(failure?.inUse == .unknown)
    }

    @Test("A guest that stopped after somebody else's pivot has moved")
    func pivotedByOthers() async throws {
        let bench = Bench(
            FakeHypervisor { hypervisor in
                hypervisor.finishPivot()
                Self.destroy(hypervisor, storedSource: Fixture.newPath)
            })
        #expect(try await bench.run()?.result != nil)
    }

    @Test("An aborted swap whose guest stopped with an edited configuration has not moved")
    func editedDuringAbort() async throws {
        var bench = Bench(FakeHypervisor { _ in })
        let (hypervisor, control) = (bench.hypervisor, bench.control)
        bench.onPhase = { phase in
            if phase == .copying { _ = control.requestAbort() }
            if phase == .rollingBack { Self.destroy(hypervisor, storedSource: Fixture.newPath) }
        }
        let failure = try await bench.run()?.failure
        #expect(failure?.isAbort == true)
        #expect(failure?.inUse == .unknown)
        #expect(failure?.leftBehind.contains { $0.contains("half copied") } == true)
    }

    @Test("A domain that becomes persistent during the copy is stored on the new volume")
    func madePersistent() async throws {
        var bench = Bench(
            FakeHypervisor { hypervisor in
                hypervisor.change { ($0.status.isPersistent, $0.storedSource) = (true, Fixture.oldPath) }
                hypervisor.post(.ready)
            })
        let hypervisor = bench.hypervisor
        hypervisor.change { ($0.status.isPersistent, $0.storedSource) = (false, nil) }
        // libvirt does not find the disk under another name of its volume.
        bench.onPhase = { phase in if phase == .storing { hypervisor.change { $0.storedSource = Fixture.oldPath } } }
        #expect(try await bench.run(["options": ["strategy": "copy"]])?.result != nil)
        #expect(hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
    }

    // MARK: A disk that was detached

    @Test("A swap whose disk is detached during the copy fails at once")
    func detachedDuringCopy() async throws {
        let bench = Bench(
            FakeHypervisor { hypervisor in
                hypervisor.change { ($0.isPlugged, $0.mirror, $0.job) = (false, nil, nil) }
                hypervisor.post(.recheck)
            })
        let failure = try await bench.run()?.failure
        #expect(failure?.inUse == VolumeInUse.none)
    }

    @Test(
        "After a restart, a disk that is no longer in its domain ends the task",
        arguments: [SwapPhase.starting, .copying, .rollingBack])
    func detachedWhileDown(phase: SwapPhase) async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.isPlugged = false }
        #expect(try await bench.run(from: .resume(phase, Fixture.plan()))?.failure?.inUse == VolumeInUse.none)
    }

    @Test(
        "A disk that is detached after the pivot is stored on the new volume, and both volumes are kept",
        arguments: [true, false])
    func detachedAfterPivot(isWhileDown: Bool) async throws {
        var bench = Bench()
        let hypervisor = bench.hypervisor
        let detach: @Sendable () -> Void = {
            hypervisor.change { ($0.isPlugged, $0.storedSource, $0.mirror, $0.job) = (false, Fixture.oldPath, nil, nil) }
        }
        if isWhileDown { detach() } else { bench.onPhase = { if $0 == .storing { detach() } } }
        let failure =
            isWhileDown
            ? try await bench.run(from: .resume(.storing, Fixture.plan()))?.failure : try await bench.run()?.failure
        #expect(failure?.code == .configurationFailed)
        #expect(failure?.inUse == .unknown)
        #expect(hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
    }
}
