import Foundation
import JSON

@testable import VolumeSwap

/// The journal's file, which outlives pivotd; what of it has not been synced may not outlive the host.
final class SimStorage: @unchecked Sendable {
    private struct Contents {
        var records: [TaskID: SwapRecord] = [:]
        var order: [TaskID] = []
    }

    private var contents = Contents()
    /// What was synced last, and all that was written since.
    private var versions = [Contents()]
    private var isChanged = false
    var isFull = false

    var records: [TaskID: SwapRecord] { contents.records }
    var order: [TaskID] { contents.order }

    func append(_ record: SwapRecord) {
        contents.records[record.id] = record
        contents.order.append(record.id)
        isChanged = true
    }

    func change(_ id: TaskID, _ body: (inout SwapRecord) -> Void) {
        guard var record = contents.records[id] else { return }
        body(&record)
        contents.records[id] = record
        isChanged = true
    }

    /// The changes since the last time are one transaction. One that changes nothing syncs nothing.
    func commit(isSynced: Bool) {
        guard isChanged else { return }
        isChanged = false
        if isSynced { versions = [] }
        versions.append(contents)
    }

    func losePower(_ loop: SimLoop) {
        contents = loop.pick(versions)
        versions = [contents]
    }
}

/// The journal as one incarnation of pivotd sees it. Notes that were not written die with it.
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

    private func write<Value>(
        _ id: TaskID, isSynced: Bool = true, _ body: (SimStorage) -> Value
    ) async throws(JournalError) -> Value {
        try await live()
        await world.pause(world.loop.pick(isSynced ? 100...3000 : 20...200))
        try await live()
        guard !storage.isFull else { throw JournalError(.unavailable, "the journal cannot be written: no space left on device") }
        if let phase = notes.removeValue(forKey: id) { storage.change(id) { $0.phase = phase } }
        let value = body(storage)
        storage.commit(isSynced: isSynced)
        try await live()  // stored, and the process dies before it knows
        return value
    }

    private func read<Value>(_ body: (SimStorage) -> Value) async throws(JournalError) -> Value {
        try await live()
        return body(storage)
    }

    func accept(_ record: SwapRecord) async throws(JournalError) -> Acceptance {
        try await write(record.id) { storage in
            if let known = storage.records[record.id] { return .duplicate(known) }
            storage.append(record)
            world.note("journal", "accepts \(record.id)")
            return .new
        }
    }

    func enter(_ id: TaskID, _ phase: SwapPhase, plan: SwapPlan?, isSynced: Bool) async throws(JournalError) {
        notes[id] = nil
        try await write(id, isSynced: isSynced && world.mutation != .plansUnsynced) { storage in
            storage.change(id) { record in
                record.phase = phase
                if let plan, world.mutation != .plansForgotten { record.plan = plan }
            }
            world.note("journal", "\(id) enters \(phase.rawValue)")
        }
    }

    func note(_ id: TaskID, _ phase: SwapPhase, isSynced: Bool) {
        guard life.isAlive else { return }
        notes[id] = phase
        world.note("pivotd", "\(id) enters \(phase.rawValue)")
        world.loop.after(world.loop.pick(0...50 * .millisecond)) { [self] in
            guard life.isAlive, !storage.isFull, notes[id] == phase else { return }
            notes[id] = nil
            storage.change(id) { $0.phase = phase }
            storage.commit(isSynced: isSynced)
        }
    }

    func finish(_ id: TaskID, _ outcome: SwapOutcome, at date: Date) async throws(JournalError) {
        try await write(id, isSynced: world.mutation != .outcomesUnsynced) { storage in
            world.checks.decided(id, outcome, by: "journal")
            if world.mutation == .outcomesForgotten { return }
            storage.change(id) { record in
                record.outcome = record.outcome?.ending(as: outcome) ?? outcome
                record.phase = outcome.phase
                record.finishedAt = date
            }
        }
    }

    func answer(_ id: TaskID, _ outcome: SwapOutcome) async throws(JournalError) {
        try await write(id, isSynced: world.mutation != .outcomesUnsynced) { storage in
            world.checks.decided(id, outcome, by: "journal")
            if world.mutation != .outcomesForgotten { storage.change(id) { $0.outcome = outcome } }
        }
    }

    func ask(_ id: TaskID, _ caller: ReplyTo) async throws(JournalError) {
        try await write(id) { storage in
            storage.change(id) { record in
                if !record.isOver || !record.isReplied { record.askers.append(caller) }
            }
        }
    }

    func limit(_ id: TaskID, mibS: Int64) async throws(JournalError) {
        try await write(id) { storage in storage.change(id) { $0.bandwidthMiBs = mibS } }
    }

    func abort(_ id: TaskID) async throws(JournalError) {
        try await write(id) { storage in storage.change(id) { $0.isAbortRequested = true } }
    }

    func forgetReply(_ id: TaskID, _ fate: ReplyFate) async throws(JournalError) {
        try await write(id, isSynced: false) { storage in
            storage.change(id) { record in
                record.replyTo = nil
                record.askers = []
                record.isReplied = true
            }
        }
    }

    func settle(_ id: TaskID, _ fate: ReplyFate?) async throws(JournalError) {
        try await write(id, isSynced: false) { storage in
            storage.change(id) { record in
                record.isReplied = true
                record.plan = nil
                for key in ["old_connection_info", "new_connection_info"] {
                    if let clean = record.args[key]?.withoutPassword { record.args[key] = clean }
                }
                if let clean = record.outcome?.withoutPassword { record.outcome = clean }
            }
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
                (!query.isStranded || record.isStranded)
                    && (query.instanceKeys.isEmpty || query.instanceKeys.contains(record.instanceKey))
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
