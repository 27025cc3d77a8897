import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Failed swaps")
struct RunnerFailureTests {
    /// Checks that nothing is left of a failed swap: no job, the old volume in both configurations, persistent as before.
    static func expectUntouched(_ bench: Bench, sourceLocation: SourceLocation = #_sourceLocation) {
        bench.hypervisor.state.withLock { state in
            #expect(state.liveSource == Fixture.oldPath, sourceLocation: sourceLocation)
            #expect(state.storedSource == Fixture.oldPath, sourceLocation: sourceLocation)
            #expect(state.status.isPersistent, sourceLocation: sourceLocation)
            #expect(state.mirror == nil, sourceLocation: sourceLocation)
            #expect(state.metadata == nil, sourceLocation: sourceLocation)
        }
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        var name: String
        var kind: SwapFailure.Kind
        var arguments: JSONObject = [:]
        var script: @Sendable (FakeHypervisor) -> Void = { _ in }
        var testDescription: String { name }
    }

    static let refusals: [Refusal] = [
        Refusal(name: "no domain", kind: .instanceNotFound, script: { $0.change { $0.isKnown = false } }),
        Refusal(name: "not running", kind: .instanceNotRunning, script: { $0.change { $0.status.isActive = false } }),
        Refusal(name: "no disk", kind: .diskNotFound, arguments: ["mountpoint": "vdz"]),
        Refusal(
            name: "forbidden path", kind: .invalidInput, arguments: ["new_connection_info": Fixture.connection("/etc/passwd")]),
        Refusal(
            name: "link to a forbidden path", kind: .invalidInput,
            arguments: ["new_connection_info": Fixture.connection("/volumes/l")],
            script: { $0.set("/volumes/l", canonical: "/etc/shadow") }),
        Refusal(
            name: "no such new volume", kind: .invalidVolume, arguments: ["new_connection_info": Fixture.connection("/volumes/x")]
        ),
        Refusal(name: "smaller", kind: .invalidVolume, script: { $0.set(Fixture.newPath, bytes: 1 << 20) }),
        Refusal(name: "a directory", kind: .invalidVolume, script: { $0.set(Fixture.newPath, kind: .other) }),
        Refusal(
            name: "old volume is another", kind: .invalidVolume,
            arguments: ["old_connection_info": Fixture.connection("/volumes/other")]),
        Refusal(
            name: "shrinking", kind: .invalidInput, arguments: ["resize_to": 1],
            script: { hypervisor in
                hypervisor.change { $0.capacity = 2 << 30 }
                hypervisor.set(Fixture.newPath, bytes: 2 << 30)
            }),
        Refusal(name: "resize_to beyond the new volume", kind: .invalidVolume, arguments: ["resize_to": 4]),
        Refusal(
            name: "rebase onto a larger one", kind: .invalidVolume, arguments: ["options": ["strategy": "rebase"]],
            script: { $0.set(Fixture.newPath, bytes: 128 << 20) }),
        Refusal(
            name: "rebase with snapshots", kind: .invalidInput, arguments: ["options": ["strategy": "rebase"]],
            script: { $0.change { $0.saved.hasSnapshots = true } }),
        Refusal(name: "in use elsewhere", kind: .invalidVolume, script: { $0.addDomain(using: Fixture.newPath) }),
        Refusal(
            name: "more than one writer", kind: .invalidVolume,
            arguments: [
                "old_connection_info": [
                    "driver_volume_type": "local", "multiattach": true, "data": ["device_path": .string(Fixture.oldPath)],
                ]
            ], script: { $0.addDomain(using: Fixture.oldPath) }),
        Refusal(
            name: "a foreign job", kind: .volumeRebaseFailed,
            script: { $0.change { $0.job = BlockJobInfo(type: "pull", cursor: 0, end: 1) } }),
        Refusal(
            name: "no LUKS secret", kind: .invalidVolume,
            arguments: ["new_connection_info": Fixture.connection(Fixture.newPath, ["encrypted": true])]),
        Refusal(
            name: "no connector for it", kind: .invalidInput,
            arguments: ["new_connection_info": ["driver_volume_type": "iscsi", "data": ["target_portal": "x"]]]),
    ]

    @Test("The impossible is refused before anything is changed", arguments: refusals)
    func refused(refusal: Refusal) async throws {
        let bench = Bench()
        refusal.script(bench.hypervisor)
        let failure = try await bench.run(refusal.arguments)?.failure
        #expect(failure?.kind == refusal.kind)
        #expect(bench.hypervisor.log.isEmpty)
        #expect(bench.journal.phases == [.preparing, .rollingBack])
    }

    struct Ending: Sendable, CustomTestStringConvertible {
        var name: String
        var reason: String
        var copy: @Sendable (FakeHypervisor) -> Void
        var testDescription: String { name }
    }

    static let endings: [Ending] = [
        Ending(name: "the destination is full", reason: "No space left on device") { hypervisor in
            hypervisor.post(.jobError(disk: "vda", message: "of another disk"))
            hypervisor.post(.jobError(disk: "vdb", message: "No space left on device"))
            hypervisor.post(.failed)
        },
        Ending(name: "no reason given", reason: "QEMU gave no reason") { $0.post(.failed) },
        Ending(name: "cancelled by someone", reason: "cancelled by someone else") { $0.post(.canceled) },
        Ending(name: "completed without a pivot", reason: "without a pivot") { $0.post(.completed) },
        Ending(name: "vanished", reason: "without an event that explains it") { hypervisor in
            hypervisor.change { state in
                state.mirror = nil
                state.job = nil
            }
        },
    ]

    @Test("A copy that ends early fails with its cause and leaves nothing", arguments: endings, ["copy", "rebase"])
    func copyEnds(ending: Ending, strategy: String) async throws {
        let bench = Bench(FakeHypervisor { hypervisor in hypervisor.change { $0.afterLook = ending.copy } })
        let failure = try await bench.run(["options": ["strategy": .string(strategy)]])?.failure
        #expect(failure?.kind == .volumeRebaseFailed)
        #expect(failure?.reason.contains(ending.reason) == true)
        #expect(failure?.reason.contains("of another disk") == false)
        for part in ["vdb", Fixture.oldPath, Fixture.newPath] { #expect(failure?.reason.contains(part) == true) }
        Self.expectUntouched(bench)
    }

    @Sendable static func stop(_ hypervisor: FakeHypervisor) {
        hypervisor.change { state in
            state.status.isActive = false
            state.mirror = nil
            state.job = nil
            if !state.status.isPersistent { state.isKnown = false }
        }
        hypervisor.post(.stopped(reason: "shut down by the guest"))
    }

    @Test("A guest that goes away during the copy fails the swap", arguments: ["copy", "rebase"])
    func guestStops(strategy: String) async throws {
        let bench = Bench(
            FakeHypervisor { hypervisor in
                hypervisor.change { $0.afterLook = Self.stop }
            })
        let failure = try await bench.run(["options": ["strategy": .string(strategy)]])?.failure
        #expect(failure?.reason.contains("shut down by the guest") == true)
        bench.hypervisor.state.withLock { state in
            #expect(state.status.isPersistent)
            #expect(state.storedSource == Fixture.oldPath)
        }
    }

    @Test("The swap's time-out and its stall time-out fail the swap", arguments: ["timeout_s", "stall_timeout_s"])
    func timeouts(option: String) async throws {
        let bench = Bench(FakeHypervisor { _ in })
        let clock = bench.clock
        bench.hypervisor.onLooks(8) { _ in clock.jump(.seconds(7200)) }
        let failure = try await bench.run(["options": .object([option: 3600])])?.failure
        #expect(failure?.reason.contains(option) == true)
        #expect(bench.hypervisor.log == ["copy", "abort"])
        Self.expectUntouched(bench)
    }

    @Test(
        "Aborted by request before the pivot", arguments: [SwapPhase.preparing, .undefining, .starting, .copying],
        ["copy", "rebase"])
    func aborted(phase: SwapPhase, strategy: String) async throws {
        var bench = Bench(FakeHypervisor { _ in })
        let control = bench.control
        bench.onPhase = { if $0 == phase { _ = control.requestAbort() } }
        guard phase != .undefining || strategy == "rebase" else { return }
        let failure = try await bench.run(["options": ["strategy": .string(strategy)]])?.failure
        #expect(failure?.reason == "aborted by request")
        #expect(failure?.isAbort == true)
        Self.expectUntouched(bench)
    }

    @Test("An abort that arrives after the decision to pivot is refused")
    func abortAtReady() async throws {
        var bench = Bench()
        let control = bench.control
        bench.onPhase = { if $0 == .ready { #expect(!control.requestAbort()) } }
        #expect(try await bench.run()?.result != nil)
    }

    @Test("An abort after the pivot is refused", arguments: [SwapPhase.pivoting, .storing])
    func abortTooLate(phase: SwapPhase) async throws {
        var bench = Bench()
        let control = bench.control
        bench.onPhase = { if $0 == phase { #expect(!control.requestAbort()) } }
        #expect(try await bench.run()?.result != nil)
    }

    @Test("A guest that stops right before its copy is gone, whatever libvirt's refusal says", arguments: ["copy", "rebase"])
    func stopsBeforeCopy(strategy: String) async throws {
        var bench = Bench()
        let hypervisor = bench.hypervisor
        bench.onPhase = { if $0 == .starting { hypervisor.change { $0.status.isActive = false } } }
        let refusal = FakeHypervisor.Trouble(error: HypervisorError(.operationInvalid, number: 55, "domain is not running"))
        hypervisor.fail(strategy == "copy" ? .copy : .rebase, refusal)
        let failure = try await bench.run(["options": ["strategy": .string(strategy)]])?.failure
        #expect(failure?.code == .guestGone && failure?.inUse == VolumeInUse.none)
        #expect(failure?.reason.contains("domain is not running") == true)
    }

    @Test("There is no success if QEMU runs another volume than libvirt names", arguments: ["copy", "rebase"])
    func pivotedElsewhere(strategy: String) async throws {
        let bench = Bench(
            FakeHypervisor(onPivot: { hypervisor throws(HypervisorError) in
                hypervisor.finishPivot()
                hypervisor.change { $0.hasPivotedUnnoticed = true }
            }))
        let failure = try await bench.run(["options": ["strategy": .string(strategy)]])?.failure
        #expect(failure?.code == .configurationFailed && failure?.inUse == .unknown)
        #expect(bench.hypervisor.state.withLock { $0.status.isPersistent })
    }

    @Test("A disk that is copied on read is refused")
    func copiedOnRead() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.format = "raw' copy_on_read='on" }
        let failure = try await bench.run()?.failure
        #expect(failure?.kind == .invalidVolume && failure?.code == .diskNotMovable && failure?.inUse == .old)
        #expect(bench.hypervisor.log.isEmpty)
    }

    @Test("A preflight that a stop may have cut off is run once more, and only once", arguments: [1, 2])
    func stopsInPreflight(refusals: Int) async throws {
        let bench = Bench()
        for _ in 0..<refusals {
            bench.hypervisor.fail(.capacity, .init(error: HypervisorError(.operationInvalid, "not running")))
        }
        #expect((try await bench.run()?.result != nil) == (refusals == 1))
    }

    @Test("A pivot that is always refused as too early is rolled back", arguments: ["copy", "rebase"])
    func neverReady(strategy: String) async throws {
        let bench = Bench()
        let early = FakeHypervisor.Trouble(error: HypervisorError(.notReady, number: 83, "not yet"))
        bench.hypervisor.fail(.pivot, early, early, early, early)
        let failure = try await bench.run(["options": ["strategy": .string(strategy)]])?.failure
        #expect(failure?.reason.contains("refused 4 times") == true)
        Self.expectUntouched(bench)
    }

    @Test("A failed pivot is rolled back; one that took place is a success", arguments: [true, false])
    func pivotError(isDone: Bool) async throws {
        let bench = Bench(
            FakeHypervisor(
                onPivot: { hypervisor throws(HypervisorError) in
                    if isDone { hypervisor.finishPivot() }
                    throw HypervisorError(.other, number: 1, "internal error")
                }))
        let outcome = try await bench.run()
        #expect((outcome?.result != nil) == isDone)
        if !isDone {
            #expect(outcome?.failure?.reason.contains("internal error") == true)
            Self.expectUntouched(bench)
        }
    }

    @Test("A pivot that fails has QEMU's reason, which may have come before it was requested", arguments: [true, false])
    func pivotReason(isBefore: Bool) async throws {
        let fail: @Sendable (FakeHypervisor) -> Void = { hypervisor in
            hypervisor.post(.jobError(disk: "vda", message: "of another disk"))
            hypervisor.post(.jobError(disk: "vdb", message: "No space left on device"))
            hypervisor.post(.failed)
        }
        var bench = Bench(FakeHypervisor(onPivot: { hypervisor throws(HypervisorError) in fail(hypervisor) }))
        let hypervisor = bench.hypervisor
        if isBefore { bench.onPhase = { if $0 == .pivoting { fail(hypervisor) } } }
        let failure = try #require(try await bench.run(["options": ["strategy": "copy"]])?.failure)
        #expect(failure.code == .noSpace && failure.inUse == .old)
        #expect(failure.reason.contains("No space left on device") && !failure.reason.contains("of another disk"))
        Self.expectUntouched(bench)
    }

    @Test("A failed resize is a success with a warning, with both configurations on the new volume")
    func resizeFails() async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 2 << 30)
        bench.hypervisor.fail(.grow, .init(error: HypervisorError(.other, "cannot resize")))
        let result = try #require(try await bench.run(["resize_to": 1])?.result)
        #expect(result["resized"] == false)
        #expect(result["capacity_bytes"] == .integer(64 << 20))
        let warning = result["warnings"]?.arrayValue?.first?.stringValue ?? ""
        #expect(warning.hasPrefix("resize:") && warning.contains("cannot resize"))
        bench.hypervisor.state.withLock { state in
            #expect(state.liveSource == Fixture.newPath)
            #expect(state.storedSource == Fixture.newPath)
        }
    }
}
