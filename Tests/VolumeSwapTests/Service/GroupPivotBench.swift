import Foundation
import JSON
import Synchronization
import Testing

@testable import VolumeSwap

/// A service with a guest of two disks, whose swaps can be held.
struct GroupBench {
    let service: ServiceBench
    let twin: TwinHypervisor
    /// Whether the guest ran at each pivot.
    let pivots: Pivots

    final class Pivots: Sendable {
        private let states = Mutex<[GuestState]>([])
        var seen: [GuestState] { states.withLock { $0 } }
        func note(_ state: GuestState) { states.withLock { $0.append(state) } }
    }

    static let ids = [TaskID("task-b"), TaskID("task-c")]

    /// - Parameters:
    ///   - limit: how long the guest is paused at most.
    ///   - onPivot: what a disk's pivot does; by default it succeeds.
    init(
        limit: Duration = .seconds(60), onPause: @escaping @Sendable () async -> Void = {},
        onPivot: @escaping @Sendable (FakeHypervisor) throws(HypervisorError) -> Void = { disk throws(HypervisorError) in
            disk.finishPivot()
        }
    ) {
        let pivots = Pivots()
        let shared = Domain()
        let twin = TwinHypervisor { disk throws(HypervisorError) in
            pivots.note(shared.guest)
            try onPivot(disk)
        }
        shared.set(twin.one)
        var bench = Bench(twin.one)
        bench.twin = twin
        bench.groupPauseLimit = limit
        bench.onPause = onPause
        self.twin = twin
        self.pivots = pivots
        service = ServiceBench(bench)
    }

    private final class Domain: Sendable {
        private let domain = Mutex<FakeHypervisor?>(nil)
        func set(_ fake: FakeHypervisor) { domain.withLock { $0 = fake } }
        var guest: GuestState { domain.withLock { $0 }?.state.withLock { $0.guest } ?? .notRunning }
    }

    var guest: GuestState { twin.one.state.withLock { $0.guest } }
    var journal: FakeJournal { service.bench.journal }

    /// Which of the two disks are on their new volumes.
    var moved: [String] {
        zip(twin.both, [Fixture.newPath, TwinHypervisor.newPath]).filter { fake, new in
            fake.state.withLock { $0.liveSource == new }
        }.map(\.0.disk)
    }

    static func records() -> [SwapRecord] {
        let options: JSONValue = ["hold": true]
        let one = Fixture.record("task-b", ["options": options])
        var two = Fixture.record(
            "task-c",
            [
                "options": options, "mountpoint": "/dev/vdc", "old_volume_id": "old-c", "new_volume_id": "new-c",
                "old_connection_info": Fixture.connection(TwinHypervisor.oldPath, serial: "old-c"),
                "new_connection_info": Fixture.connection(TwinHypervisor.newPath, serial: "new-c"),
            ])
        two.disk = "vdc"
        return [one, two]
    }

    /// Two held swaps from before a restart, with their copies in step.
    func putHeld(_ phases: [SwapPhase], _ mark: PivotGroupMark?) {
        let places = [(Fixture.oldPath, Fixture.newPath), (TwinHypervisor.oldPath, TwinHypervisor.newPath)]
        for ((record, phase), (fake, (old, new))) in zip(zip(Self.records(), phases), zip(twin.both, places)) {
            fake.change { state in
                state.mirror = (new, true)
                state.job = BlockJobInfo(type: "copy", cursor: 10, end: 10)
            }
            var record = record
            record.phase = phase
            record.startedAt = .now
            var plan = Fixture.plan(destination: VolumeSource(location: .file(new), format: "raw"))
            plan.disk = fake.disk
            plan.oldLocation = .file(old)
            plan.options.hold = true
            plan.pivotGroup = mark
            record.plan = plan
            journal.put(record)
        }
    }

    /// Runs the service with both swaps held.
    func holding(_ body: (SwapService) async throws -> Void) async throws {
        try await service.running { (service: SwapService) async throws in
            for record in Self.records() { _ = await self.service.submit(record) }
            try await untilHeld(service)
            try await body(service)
        }
    }

    func untilHeld(_ service: SwapService, _ ids: [TaskID] = ids) async throws {
        for id in ids { while try await service.status(.task(id)).phase != .ready { await Task.yield() } }
    }

    /// The two outcomes by task.
    func outcomes() async throws -> [TaskID: SwapOutcome] {
        let (one, two) = (try await service.nextReply(), try await service.nextReply())
        return [one.id: one.outcome, two.id: two.outcome]
    }

    /// The warnings of two successes.
    func warnings() async throws -> [String] {
        try await outcomes().values.flatMap { outcome in
            try #require(outcome.result?["warnings"]?.arrayValue, "\(String(describing: outcome.failure))").compactMap(
                \.stringValue)
        }
    }
}
