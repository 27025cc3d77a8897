import Foundation
import JSON

@testable import VolumeSwap

/// The contents of the journal's disk, which outlive pivotd.
final class SimStorage: @unchecked Sendable {
    var records: [TaskID: SwapRecord] = [:]
    var order: [TaskID] = []
    var isFull = false
}

/// The journal as one incarnation of pivotd sees it. Notes that were not synced die with it.
final class SimJournal: SwapJournal, @unchecked Sendable {
    private unowned let world: SimWorld
    private let life: SimLife
    private var notes: [TaskID: SwapPhase] = [:]
    private var storage: SimStorage { world.storage }

    init(_ world: SimWorld, _ life: SimLife) {
        self.world = world
        self.life = life
    }

    private static let dead = JournalError(.unavailable, "this pivotd is dead")

    private func live() async throws(JournalError) {
        if life.pass() { return }
        await life.rest()
        throw Self.dead
    }

    private func sync<Value>(_ id: TaskID, _ body: (SimStorage) -> Value) async throws(JournalError) -> Value {
        try await live()
        await world.pause(world.loop.pick(100...3000))
        try await live()
        guard !storage.isFull else { throw JournalError(.unavailable, "the journal cannot be written: no space left on device") }
        if let phase = notes.removeValue(forKey: id) { storage.records[id]?.phase = phase }
        let value = body(storage)
        try await live()  // stored, and the process dies before it knows
        return value
    }

    private func read<Value>(_ body: (SimStorage) -> Value) async throws(JournalError) -> Value {
        try await live()
        return body(storage)
    }

    func accept(_ record: SwapRecord) async throws(JournalError) -> Acceptance {
        try await sync(record.id) { storage in
            if let known = storage.records[record.id] { return .duplicate(known) }
            storage.records[record.id] = record
            storage.order.append(record.id)
            world.note("journal", "accepts \(record.id)")
            return .new
        }
    }

    func enter(_ id: TaskID, _ phase: SwapPhase, plan: SwapPlan?) async throws(JournalError) {
        notes[id] = nil
        try await sync(id) { storage in
            storage.records[id]?.phase = phase
            if let plan, world.mutation != .plansForgotten { storage.records[id]?.plan = plan }
            world.note("journal", "\(id) enters \(phase.rawValue)")
        }
    }

    func note(_ id: TaskID, _ phase: SwapPhase) {
        guard life.isAlive else { return }
        notes[id] = phase
        world.note("pivotd", "\(id) enters \(phase.rawValue)")
        world.loop.after(world.loop.pick(0...50 * .millisecond)) { [self] in
            guard life.isAlive, !storage.isFull, notes[id] == phase else { return }
            notes[id] = nil
            storage.records[id]?.phase = phase
        }
    }

    func finish(_ id: TaskID, _ outcome: SwapOutcome, at date: Date) async throws(JournalError) {
        try await sync(id) { storage in
            world.checks.decided(id, outcome, by: "journal")
            if world.mutation == .outcomesForgotten { return }
            let told = storage.records[id]?.outcome
            storage.records[id]?.outcome = told?.ending(as: outcome) ?? outcome
            storage.records[id]?.phase = outcome.phase
            storage.records[id]?.finishedAt = date
        }
    }

    func answer(_ id: TaskID, _ outcome: SwapOutcome) async throws(JournalError) {
        try await sync(id) { storage in
            world.checks.decided(id, outcome, by: "journal")
            if world.mutation != .outcomesForgotten { storage.records[id]?.outcome = outcome }
        }
    }

    func forgetReply(_ id: TaskID, _ fate: ReplyFate) async throws(JournalError) {
        try await sync(id) { storage in
            storage.records[id]?.replyTo = nil
            storage.records[id]?.isReplied = true
        }
    }

    func settle(_ id: TaskID, _ fate: ReplyFate?) async throws(JournalError) {
        try await sync(id) { storage in
            guard var record = storage.records[id] else { return }
            record.isReplied = true
            record.plan = nil
            for key in ["old_connection_info", "new_connection_info"] {
                if let clean = record.args[key]?.withoutPassword { record.args[key] = clean }
            }
            if let clean = record.outcome?.withoutPassword { record.outcome = clean }
            storage.records[id] = record
        }
    }

    func unfinished() async throws(JournalError) -> [UnfinishedTask] {
        try await read { storage in
            let all = storage.order.compactMap { storage.records[$0] }
            let begun = all.filter { !$0.isOver && ($0.plan != nil || $0.outcome != nil) }
            let waiting = all.filter { !$0.isOver && $0.plan == nil && $0.outcome == nil }
            return (begun + waiting + all.filter { $0.isOver && !$0.isReplied }).map(UnfinishedTask.init)
        }
    }

    func record(_ id: TaskID) async throws(JournalError) -> SwapRecord? {
        let found = try await read { storage in [storage.records[id]].compactMap { $0 } }
        return found.first
    }

    func records(_ query: SwapQuery) async throws(JournalError) -> [SwapRecord] {
        try await read { storage in
            let all = storage.order.reversed().compactMap { storage.records[$0] }
            let found = all.filter { record in
                (!query.isStranded || record.isStranded) && (query.instanceKey.map { $0 == record.instanceKey } ?? true)
                    && (query.disk.map { $0 == record.disk } ?? true)
                    && (query.states?.contains(record.phase.publicState) ?? true)
            }
            return Array(found.prefix(query.limit))
        }
    }

    /// Histories decide nothing, so a run keeps none.
    func remark(_ id: TaskID, _ text: String) {}
    func history(_ id: TaskID) async throws(JournalError) -> [HistoryEntry] { [] }

    func prune(before date: Date) async throws(JournalError) -> Int { 0 }
    func probe(bytes: Int) async throws(JournalError) {}
    func close() async {}
}

extension SwapOutcome {
    /// The form in which a settled record keeps it.
    var withoutPassword: SwapOutcome {
        guard case .success(var result) = self else { return self }
        result.connectionInfo = JSONValue.object(result.connectionInfo).withoutPassword.objectValue ?? [:]
        return .success(result)
    }
}

extension JSONValue {
    /// connection_info without its only secret; the real redaction would dominate a run's time.
    fileprivate var withoutPassword: JSONValue {
        guard case .object(var connection) = self, case .object(var data) = connection["data"] else { return self }
        if data["auth_password"] != nil { data["auth_password"] = "***" }
        connection["data"] = .object(data)
        return .object(connection)
    }
}
