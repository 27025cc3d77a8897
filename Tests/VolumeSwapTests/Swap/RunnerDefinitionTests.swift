import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Missing definitions")
struct RunnerDefinitionTests {
    private static let rebase: JSONObject = ["options": ["strategy": "rebase"]]

    @Test("After a refused undefine, a missing definition was removed by someone else and stays removed")
    func refusedUndefine() async throws {
        let bench = Bench()
        let hypervisor = bench.hypervisor
        var running = bench
        running.onPhase = { phase in
            guard phase == .undefining else { return }
            hypervisor.fail(.undefine, .init(error: HypervisorError(.operationInvalid, "cannot undefine transient domain")))
            hypervisor.fail(.setMetadata, .init(error: HypervisorError(.busy, "busy")))
            hypervisor.onMetadata { state in
                state.status.isPersistent = false
                state.storedSource = nil
            }
        }
        let failure = try await running.run(Self.rebase)?.failure
        #expect(failure?.reason.contains("transient") == true)
        #expect(hypervisor.count("define") == 0)
    }

    @Test("A definition that someone removed before pivotd's undefine is not restored")
    func removedBefore() async throws {
        var bench = Bench()
        let hypervisor = bench.hypervisor
        bench.onPhase = { phase in
            guard phase == .undefining else { return }
            hypervisor.change { state in
                state.status.isPersistent = false
                state.storedSource = nil
            }
        }
        let failure = try await bench.run(Self.rebase)?.failure
        #expect(failure?.reason.contains("someone else has undefined") == true)
        #expect(hypervisor.count("define") == 0 && hypervisor.count("undefine") == 0)
    }

    @Test("What is plugged in during a rebase is defined with the domain, and what is not stored is in the warnings")
    func pluggedMeanwhile() async throws {
        let plugged = Mutex("")
        let console = "<console type='pty'><target type='virtio' port='1'/></console>"
        let bench = Bench(
            FakeHypervisor(
                onCopy: { hypervisor in
                    plugged.withLock { $0 = PluggedDomain.random.live + console }
                    hypervisor.post(.ready)
                }, beside: { view in view == .live ? plugged.withLock { $0 } : "" }))
        let result = try await bench.run(Self.rebase)?.result
        let warnings = result?["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? []
        #expect(warnings.contains { $0.contains("console devices went from 0 to 1") })
        let definition = try #require(bench.hypervisor.state.withLock { $0.definitions.last })
        #expect(definition.contains("/dev/urandom") && definition.contains(Fixture.newPath))
    }

    @Test("What was plugged in is defined although the guest has stopped since")
    func stoppedMeanwhile() async throws {
        let plugged = Mutex("")
        let bench = Bench(
            FakeHypervisor(
                onCopy: { hypervisor in
                    plugged.withLock { $0 = PluggedDomain.random.live }
                    // Once a look has shown the device.
                    hypervisor.onLooks(1, Self.stop)
                }, beside: { view in view == .live ? plugged.withLock { $0 } : "" }))
        bench.clock.stop()
        let failure = try #require(try await bench.run(Self.rebase)?.failure)
        #expect(failure.code == .guestGone && failure.leftBehind == [])
        let definition = try #require(bench.hypervisor.state.withLock { $0.definitions.last })
        #expect(definition.contains("/dev/urandom"))
    }

    @Test("A guest that stops at once is not said to have lost anything")
    func stoppedAtOnce() async throws {
        let bench = Bench(FakeHypervisor(onCopy: Self.stop))
        bench.clock.stop()
        let failure = try #require(try await bench.run(Self.rebase)?.failure)
        #expect(failure.code == .guestGone && failure.leftBehind == [] && bench.hypervisor.count("define") == 1)
    }

    @Test("What a look long ago showed of a guest that has stopped is taken, and its age said")
    func stoppedLongAgo() async throws {
        var bench = Bench(FakeHypervisor(onCopy: { $0.onLooks(1) { $0.post(.ready) } }))
        let (clock, hypervisor) = (bench.clock, bench.hypervisor)
        bench.onPhase = { phase in
            guard phase == .pivoting else { return }
            clock.jump(.seconds(600))
            Self.stop(hypervisor)
        }
        let failure = try #require(try await bench.run(Self.rebase)?.failure)
        #expect(failure.leftBehind.contains { $0.contains("in the last 60") })
        #expect(hypervisor.count("define") == 1)
    }

    private static func stop(_ hypervisor: FakeHypervisor) {
        hypervisor.change { ($0.isKnown, $0.mirror, $0.job) = (false, nil, nil) }
        hypervisor.post(.stopped(reason: "crashed"))
    }

    @Test("A stored configuration that is changed before it is removed is not lost: the swap fails")
    func changedBefore() async throws {
        let bench = Bench()
        bench.hypervisor.onMetadata { $0.storedSource = "/volumes/other" }
        let failure = try #require(try await bench.run(Self.rebase)?.failure)
        #expect(failure.reason.contains("was changed meanwhile") && failure.code.isRetryable && failure.inUse == .old)
        #expect(bench.hypervisor.count("undefine") == 0 && bench.hypervisor.count("define") == 0)
    }

    @Test("After a restart while undefining, a domain without our metadata was undefined by someone else")
    func killedBeforeUndefine() async throws {
        let bench = Bench()
        bench.hypervisor.change { state in
            state.status.isPersistent = false
            state.storedSource = nil
        }
        var plan = Fixture.plan(strategy: .rebase)
        plan.failure = .abortedByRequest
        #expect(try await bench.run(from: .resume(.rollingBack, plan))?.failure?.isAbort == true)
        #expect(bench.hypervisor.count("define") == 0)
        bench.hypervisor.change { $0.metadata = "<swap/>" }
        _ = try await bench.run(from: .resume(.rollingBack, plan))
        #expect(bench.hypervisor.count("define") == 1)
    }

    @Test("A guest that ends in a rebase and is created anew gets its definition back, though its new life lacks our metadata")
    func createdAnew() async throws {
        let bench = Bench(FakeHypervisor(onCopy: Self.createAnew))
        #expect(try await bench.run(Self.rebase)?.failure != nil)
        let isPersistent = bench.hypervisor.state.withLock { $0.status.isPersistent }
        #expect(bench.hypervisor.count("define") == 1 && isPersistent)
    }

    @Test("Also after a restart, unless it had come no further than to the undefine", arguments: RecoveryRow.phases)
    func createdAnewMeanwhile(phase: SwapPhase) async throws {
        let bench = Bench()
        Self.createAnew(bench.hypervisor)
        bench.hypervisor.change { ($0.status.isPersistent, $0.storedSource) = (false, nil) }
        var plan = Fixture.plan(strategy: .rebase)
        plan.failure = .abortedByRequest
        _ = try await bench.run(from: .resume(phase, plan))
        let isTaken = ![.accepted, .preparing, .undefining, .rollingBack].contains(phase)
        #expect(bench.hypervisor.count("define") == (isTaken ? 1 : 0))
    }

    /// The guest has gone, and another tool has created the domain, transient, before pivotd looks.
    private static func createAnew(_ hypervisor: FakeHypervisor) {
        hypervisor.change { ($0.mirror, $0.job, $0.metadata) = (nil, nil, nil) }
    }

    @Test(
        "The definition of a guest that has migrated away is restored without autostart, which is said",
        arguments: [HypervisorEvent.migratedAway, "crashed"], [SwapPhase.starting, .copying, .storing])
    func migratedAway(reason: String, phase: SwapPhase) async throws {
        var bench = Bench(FakeHypervisor(onCopy: { if phase != .copying { $0.post(.ready) } }))
        let hypervisor = bench.hypervisor
        hypervisor.change { $0.isAutostarted = true }
        bench.onPhase = { entered in
            guard entered == phase else { return }
            hypervisor.change { state in
                (state.isKnown, state.status.isActive, state.mirror, state.job) = (false, false, nil, nil)
            }
            hypervisor.post(.stopped(reason: reason))
        }
        // In the phase starting the copy is refused, as the domain is gone.
        let refusal = HypervisorError(.noDomain, number: 42, "Domain not found")
        if phase == .starting { hypervisor.fail(.rebase, .init(error: refusal)) }
        let outcome = try await bench.run(Self.rebase)
        let warnings = outcome?.result?["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? []
        let remainders = outcome?.failure?.leftBehind ?? warnings
        #expect((outcome?.result != nil) == (phase == .storing))
        let hasMigrated = reason == HypervisorEvent.migratedAway
        #expect(remainders.contains { $0.contains("has migrated to another host") } == hasMigrated)
        let isAutostarted = hypervisor.state.withLock { $0.isAutostarted }
        #expect(hypervisor.count("define") == 1 && isAutostarted == !hasMigrated)
    }

    @Test("A guest that has migrated away and is back is started with the host again")
    func migratedBack() async throws {
        let bench = Bench(
            FakeHypervisor(onCopy: { hypervisor in
                hypervisor.change { ($0.mirror, $0.job) = (nil, nil) }
                hypervisor.post(.stopped(reason: HypervisorEvent.migratedAway))
            }))
        bench.hypervisor.change { $0.isAutostarted = true }
        let failure = try #require(try await bench.run(Self.rebase)?.failure)
        let isAutostarted = bench.hypervisor.state.withLock { $0.isAutostarted }
        #expect(isAutostarted && failure.leftBehind == [])
    }

    @Test("After a disk was mirrored back, its stored configuration names the old volume again")
    func storedAfterReturn() async throws {
        let bench = Bench(
            FakeHypervisor(onPivot: { hypervisor throws(HypervisorError) in
                hypervisor.change { state in
                    (state.mirror, state.job, state.hasPivotedUnnoticed) = (nil, nil, true)
                    // libvirt writes the stored configuration first, then dies.
                    state.storedSource = Fixture.newPath
                }
                throw HypervisorError(.connectionLost, "gone")
            }))
        let failure = try await bench.run(["options": ["strategy": "copy"]])?.failure
        #expect(failure?.inUse == .old)
        #expect(bench.hypervisor.state.withLock { $0.storedSource } == Fixture.oldPath)
    }

    @Test(
        "After an unanswered pivot that cannot be verified, the volume in use is unknown",
        arguments: [true, false])
    func unverified(isTold: Bool) async throws {
        let bench = Bench(
            FakeHypervisor(onPivot: { hypervisor throws(HypervisorError) in
                hypervisor.change { $0.hasPivotedUnnoticed = nil }
                if isTold {
                    hypervisor.post(.failed)
                } else {
                    hypervisor.change { ($0.mirror, $0.job) = (nil, nil) }
                }
                throw HypervisorError(.connectionLost, "gone")
            }))
        let failure = try await bench.run(["options": ["strategy": "copy"]])?.failure
        #expect(failure?.inUse == (isTold ? .old : .unknown))
        #expect(failure?.reason.contains("keep both volumes") == !isTold)
    }

    @Test("A guest that goes away right after its pivot has moved, even if the event is late")
    func goneAfterPivot() async throws {
        let bench = Bench(
            FakeHypervisor(onPivot: { hypervisor throws(HypervisorError) in
                hypervisor.change { state in
                    (state.isKnown, state.status.isActive, state.mirror, state.job) = (false, false, nil, nil)
                }
                hypervisor.post(.stopped(reason: "destroyed"))
                hypervisor.post(.blockJob(disk: "vdb", status: .completed, at: .now))
            }))
        bench.hypervisor.change { $0.status.isPersistent = false }
        #expect(try await bench.run(["options": ["strategy": "copy"]])?.result != nil)
    }

    @Test("A disk that QEMU runs on another volume than libvirt names is not reported as moved")
    func notMoved() async throws {
        let bench = Bench()
        bench.hypervisor.change { ($0.liveSource, $0.hasPivotedUnnoticed) = (Fixture.newPath, true) }
        let failure = try await bench.run()?.failure
        #expect(failure?.inUse == .unknown)
        #expect(failure?.reason.contains("lost track") == true)
    }

    @Test("An old volume that another swap has reserved is not disconnected")
    func reservedOld() async throws {
        let bench = Bench()
        let old: JSONValue = ["driver_volume_type": "vendor", "serial": "old-volume", "data": [:]]
        let environment = bench.environment
        _ = environment.reservations.claim(VolumeIdentity(ids: ["old-volume"]), for: TaskID("another"))
        let record = Fixture.record("task-1", ["old_connection_info": old])
        bench.journal.put(record)
        let request = try SwapRequest(args: record.args, defaults: SwapOptions())
        let outcome = await SwapRunner(
            environment: environment, record: record, request: request, control: bench.control
        ).run(from: .fresh)
        #expect(outcome?.result?["warnings"]?.arrayValue?.contains { $0.stringValue?.contains("task another") == true } == true)
        #expect(bench.connector.log == [])
    }

    @Test("A transient refusal of a stale copy's cancel does not lead to force")
    func staleCopy() async throws {
        let bench = Bench(FakeHypervisor(forces: true))
        bench.hypervisor.startJob(to: "/volumes/somebody-elses")
        bench.hypervisor.fail(.abort, RunnerHangTests.busy)
        #expect(try await bench.run()?.result != nil)
        #expect(bench.hypervisor.count("force") == 0)
        #expect(bench.hypervisor.count("abort") == 2)
    }
}
