import JSON
import Synchronization
import Testing

@testable import VolumeSwap

@Suite("Successful swaps")
struct RunnerSuccessTests {
    static func transient(_ bench: Bench) {
        bench.hypervisor.change { state in
            state.status.isPersistent = false
            state.storedSource = nil
        }
    }

    @Test("copy never undefines", arguments: [true, false])
    func copy(persistent: Bool) async throws {
        let bench = Bench()
        if !persistent { Self.transient(bench) }
        let result = try #require(try await bench.run(["options": ["strategy": "copy"]])?.result)
        #expect(bench.hypervisor.log == ["copy", "pivot"])
        #expect(result["strategy"] == "copy")
        #expect(bench.hypervisor.state.withLock { $0.status.isPersistent } == persistent)
        #expect(bench.observer.log == ["started", "pivoting", "ended"])
    }

    @Test("rebase undefines the domain and defines it again on the new volume")
    func rebasePersistent() async throws {
        let bench = Bench()
        let result = try #require(try await bench.run(["options": ["strategy": "rebase"]])?.result)
        #expect(
            bench.hypervisor.log == [
                "set metadata", "undefine", "rebase raw=true dev=false", "pivot", "define", "clear metadata",
            ])
        #expect(result["strategy"] == "rebase")
        bench.hypervisor.state.withLock { state in
            #expect(state.status.isPersistent)
            #expect(state.storedSource == Fixture.newPath)
            #expect(state.metadata == nil)
        }
    }

    @Test("auto chooses rebase for a transient domain, which stays transient")
    func autoTransient() async throws {
        let bench = Bench()
        Self.transient(bench)
        let result = try #require(try await bench.run()?.result)
        #expect(result["strategy"] == "rebase")
        #expect(bench.hypervisor.log == ["rebase raw=true dev=false", "pivot"])
        #expect(bench.hypervisor.state.withLock { !$0.status.isPersistent })
    }

    @Test("Each phase is journaled before its step", arguments: [SwapStrategy.copy, .rebase])
    func phases(strategy: SwapStrategy) async throws {
        let bench = Bench()
        _ = try await bench.run(["options": ["strategy": .string(strategy.rawValue)]])
        let undefining: [SwapPhase] = strategy == .rebase ? [.undefining] : []
        // Again, to note that the definition is back.
        let defined: [SwapPhase] = strategy == .rebase ? [.storing] : []
        #expect(bench.journal.phases == [.preparing] + undefining + [.starting, .copying, .ready, .pivoting, .storing] + defined)
    }

    @Test("The result has every member")
    func result() async throws {
        let bench = Bench()
        let result = try #require(try await bench.run()?.result)
        #expect(result["task_id"] == "task-1")
        #expect(result["instance_uuid"] == .string(Fixture.uuid))
        #expect(result["disk"] == "vdb")
        #expect(result["old_volume_id"] == "old-volume")
        #expect(result["new_volume_id"] == "new-volume")
        #expect(result["hypervisor"] == "fake")
        #expect(result["capacity_bytes"] == .integer(64 << 20))
        #expect(result["attempts"] == 1)
        #expect(result["warnings"] == [])
        #expect(result["connection_info"]?["serial"] == "old-volume")
        #expect(result["connection_info"]?["data"]?["device_path"] == .string(Fixture.newPath))
        #expect(result["duration_s"]?.doubleValue != nil)
        #expect(result["copied_bytes"]?.integerValue != nil)
    }

    @Test("A block device is copied as a block device")
    func blockDevice() async throws {
        let bench = Bench()
        Self.transient(bench)
        bench.hypervisor.set("/dev/loop7", kind: .block, device: 7)
        _ = try await bench.run(["new_connection_info": Fixture.connection("/dev/loop7")])
        #expect(bench.hypervisor.log.first == "rebase raw=true dev=true")
    }

    @Test("A disk already on the new volume succeeds at once, and the stored configuration is updated")
    func alreadyMoved() async throws {
        let bench = Bench()
        bench.hypervisor.change { $0.liveSource = Fixture.newPath }
        let outcome = try await bench.run()
        #expect(outcome?.result != nil)
        #expect(bench.hypervisor.log == ["define"])
        #expect(bench.hypervisor.state.withLock { $0.storedSource } == Fixture.newPath)
    }

    @Test("A running copy onto the new volume is adopted")
    func adopted() async throws {
        let bench = Bench()
        bench.hypervisor.startJob(to: Fixture.newPath, ready: true, cursor: 64 << 20)
        let outcome = try await bench.run()
        #expect(outcome?.result != nil)
        #expect(bench.hypervisor.log == ["speed 0", "pivot"])
    }

    @Test("A stale copy onto another volume is ended first")
    func staleCopy() async throws {
        let bench = Bench()
        bench.hypervisor.startJob(to: "/volumes/stale")
        let outcome = try await bench.run()
        #expect(outcome?.result != nil)
        #expect(bench.hypervisor.log == ["abort", "copy", "pivot"])
    }

    @Test("Somebody's pivot of a copy onto another volume is waited for, not broken off")
    func pivotOfOthers() async throws {
        var bench = Bench(FakeHypervisor(forces: true))
        let hypervisor = bench.hypervisor
        let clock = bench.clock
        hypervisor.startJob(to: "/volumes/stale", ready: true, cursor: 64 << 20)
        hypervisor.change { $0.isEnding = "pivot" }
        bench.onPhase = { phase in
            guard phase == .starting else { return }
            hypervisor.onLooks(2) { hypervisor in
                clock.jump(.seconds(60))
                hypervisor.onLooks(2) { $0.finishPivot() }
            }
        }
        let failure = try #require(try await bench.run()?.failure)
        #expect(failure.code == .oldVolumeMismatch)
        #expect(hypervisor.count("abort") == 0 && hypervisor.count("force") == 0)
        #expect(hypervisor.state.withLock { $0.liveSource } == "/volumes/stale")
    }

    @Test("A larger volume without resize_to gets a slice and a warning")
    func larger() async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 128 << 20)
        let result = try #require(try await bench.run()?.result)
        #expect(bench.hypervisor.log == ["copy slice", "pivot"])
        #expect(result["warnings"]?.arrayValue?.count == 1)
        #expect(result["capacity_bytes"] == .integer(64 << 20))
    }

    @Test("A larger volume with resize_to grows the disk after the pivot")
    func grown() async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: 2 << 30)
        let result = try #require(try await bench.run(["resize_to": 1])?.result)
        #expect(bench.hypervisor.log == ["copy slice", "pivot", "grow \(1 << 30)"])
        #expect(bench.journal.phases.contains(.finishing))
        #expect(result["capacity_bytes"] == .integer(1 << 30))
        #expect(result["warnings"] == [])
    }

    @Test(
        "An encrypted volume grows to the requested size, or to what its header leaves",
        arguments: [(Int64(2 << 30), Int64(1 << 30)), (Int64(1 << 30), Int64(1 << 30) - 4096)])
    func encrypted(container: Int64, grown: Int64) async throws {
        let bench = Bench()
        bench.hypervisor.set(Fixture.newPath, bytes: container)
        bench.hypervisor.change { state in
            state.headers[Fixture.newPath] = 4096
            state.secrets["volume:new-id"] = "11111111-2222-4333-8444-555555555555"
        }
        let new = Fixture.connection(Fixture.newPath, ["encrypted": true, "volume_id": "new-id"])
        let result = try #require(try await bench.run(["resize_to": 1, "new_connection_info": new])?.result)
        #expect(bench.hypervisor.log == ["copy slice", "pivot", "grow \(grown)"])
        #expect(bench.hypervisor.state.withLock { $0.slice } == 4096 + 64 * Fixture.mebibyte)
        #expect(result["capacity_bytes"] == .integer(grown))
    }

    /// An rbd image, and its path where the host would have it mapped: the fake's disks have paths.
    static let image: (connection: JSONValue, path: String) = (
        ["driver_volume_type": "rbd", "serial": "new-volume", "data": ["name": "p/i"]], "/dev/rbd/p/i"
    )

    @Test("A volume whose size only QEMU knows is retried through a slice")
    func secondAttempt() async throws {
        let hypervisor = FakeHypervisor { hypervisor in
            hypervisor.change { $0.mirror?.path = Self.image.path }
            guard hypervisor.count("copy slice") == 0 else { return hypervisor.post(.ready) }
            hypervisor.change { state in
                state.afterLook = { hypervisor in
                    hypervisor.post(.jobError(disk: "vdb", message: "Source and target image have different sizes"))
                    hypervisor.post(.failed)
                }
            }
        }
        let bench = Bench(hypervisor)
        let result = try #require(try await bench.run(["new_connection_info": Self.image.connection])?.result)
        #expect(hypervisor.log == ["copy", "copy slice", "pivot"])
        #expect(result["attempts"] == 2)
    }

    @Test("The bandwidth can be changed while the copy runs")
    func bandwidth() async throws {
        let hypervisor = FakeHypervisor { _ in }
        var bench = Bench(hypervisor)
        let control = bench.control
        bench.onPhase = { phase in
            guard phase == .copying else { return }
            control.requestSpeed(5 << 20)
            hypervisor.post(.ready)
        }
        let outcome = try await bench.run(["options": ["bandwidth_mib_s": 1]])
        #expect(outcome?.result != nil)
        #expect(hypervisor.log == ["copy", "speed \(5 << 20)", "pivot"])
    }

    @Test("A pivot that libvirt refuses as too early is retried")
    func pivotRetry() async throws {
        let bench = Bench()
        let early = FakeHypervisor.Trouble(error: HypervisorError(.notReady, number: 83, "not yet"))
        bench.hypervisor.fail(.pivot, early, early)
        let outcome = try await bench.run()
        #expect(outcome?.result != nil)
        #expect(bench.hypervisor.count("pivot") == 3)
    }

    @Test("A lost READY event is noticed by an inspection")
    func lostReady() async throws {
        let hypervisor = FakeHypervisor { hypervisor in
            hypervisor.change { state in
                state.mirror?.isReady = true
                state.job?.cursor = 64 << 20
            }
        }
        let bench = Bench(hypervisor)
        hypervisor.fail(.subscribe, .init(error: HypervisorError(.other, "no events")))
        let outcome = try await bench.run()
        #expect(outcome?.result != nil)
    }
}
