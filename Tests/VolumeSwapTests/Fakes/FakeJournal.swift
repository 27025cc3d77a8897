import Foundation
import JSON
import Synchronization

@testable import VolumeSwap

/// An in-memory journal that fails on request.
final class FakeJournal: SwapJournal {
    private struct State {
        var records: [TaskID: SwapRecord] = [:]
        var order: [TaskID] = []
        var phases: [SwapPhase] = []
        var synced: [SwapPhase] = []
        var failures: [String: Int] = [:]
        var failed: [String: Int] = [:]
        var damaged: Set<TaskID> = []
        var histories: [TaskID: [HistoryEntry]] = [:]

        mutating func note(_ id: TaskID, _ event: HistoryEntry.Event) {
            if records[id] != nil { histories[id, default: []].append(HistoryEntry(event, at: .now)) }
        }
    }

    private let state = Mutex(State())
    /// Yields each settled task.
    let settlements: AsyncStream<TaskID>
    private let settled: AsyncStream<TaskID>.Continuation

    init() { (settlements, settled) = AsyncStream.makeStream() }

    /// The phases entered, in order.
    var phases: [SwapPhase] { state.withLock { $0.phases } }
    /// Those of them that were synced.
    var synced: [SwapPhase] { state.withLock { $0.synced } }

    /// Makes the next calls of this name fail: `accept`, `enter:copying`, `finish`, `settle`, `record`.
    func fail(_ call: String, times: Int = 1) { state.withLock { $0.failures[call, default: 0] += times } }

    /// Number of calls of this name that have failed.
    func failures(_ call: String) -> Int { state.withLock { $0.failed[call, default: 0] } }

    /// Makes a task unreadable.
    func damage(_ id: String) { state.withLock { _ = $0.damaged.insert(TaskID(id)) } }

    func put(_ record: SwapRecord) {
        state.withLock { state in
            if state.records[record.id] == nil { state.order.append(record.id) }
            state.records[record.id] = record
        }
    }

    func stored(_ id: String) -> SwapRecord? { state.withLock { $0.records[TaskID(id)] } }

    private func call<Value>(_ name: String, _ body: (inout State) -> Value) throws(JournalError) -> Value {
        let value: Value? = state.withLock { state in
            if let left = state.failures[name], left > 0 {
                state.failures[name] = left - 1
                state.failed[name, default: 0] += 1
                return nil
            }
            return body(&state)
        }
        guard let value else { throw JournalError(.unavailable, "no space left") }
        return value
    }

    func accept(_ record: SwapRecord) async throws(JournalError) -> Acceptance {
        try call("accept") { state in
            if state.damaged.contains(record.id) { return .unreadable }
            if let known = state.records[record.id] { return .duplicate(known) }
            state.records[record.id] = record
            state.order.append(record.id)
            return .new
        }
    }

    func enter(_ id: TaskID, _ phase: SwapPhase, plan: SwapPlan?, isSynced: Bool) async throws(JournalError) {
        try change(id, "enter:\(phase.rawValue)") { state, record in
            state.phases.append(phase)
            if isSynced { state.synced.append(phase) }
            guard !record.isOver else { return }
            state.note(id, .phase(phase))
            record.phase = phase
            if let plan { record.plan = plan }
        }
    }

    /// - Throws: ``JournalError`` of code `unusable` if the task does not exist.
    private func change(
        _ id: TaskID, _ name: String, _ body: (inout State, inout SwapRecord) -> Void
    ) throws(JournalError) {
        let isKnown = try call(name) { state in
            guard var record = state.records[id] else { return false }
            body(&state, &record)
            state.records[id] = record
            return true
        }
        guard isKnown else { throw JournalError(.unusable, "no task \(id)") }
    }

    /// A note that fails is lost.
    func note(_ id: TaskID, _ phase: SwapPhase, isSynced: Bool) {
        try? change(id, "enter:\(phase.rawValue)") { state, record in
            state.phases.append(phase)
            if isSynced { state.synced.append(phase) }
            guard !record.isOver else { return }
            state.note(id, .phase(phase))
            record.phase = phase
        }
    }

    func finish(_ id: TaskID, _ outcome: SwapOutcome, at: Date) async throws(JournalError) {
        try change(id, "finish") { state, record in
            guard !record.isOver else { return }
            state.note(id, .phase(outcome.phase))
            record.outcome = record.outcome?.ending(as: outcome) ?? outcome
            record.phase = outcome.phase
            record.finishedAt = at
        }
    }

    func answer(_ id: TaskID, _ outcome: SwapOutcome) async throws(JournalError) {
        try change(id, "answer") { _, record in record.outcome = record.outcome ?? outcome }
    }

    func ask(_ id: TaskID, _ caller: ReplyTo) async throws(JournalError) {
        try call("ask") { state in
            if state.records[id]?.isReplied != true || state.records[id]?.isOver == false {
                state.records[id]?.askers.append(caller)
            }
        }
    }

    func limit(_ id: TaskID, mibS: Int64) async throws(JournalError) {
        try call("limit") { state in state.records[id]?.bandwidthMiBs = mibS }
    }

    func abort(_ id: TaskID) async throws(JournalError) {
        try call("abort") { state in state.records[id]?.isAbortRequested = true }
    }

    func forgetReply(_ id: TaskID, _ fate: ReplyFate) async throws(JournalError) {
        try call("forgetReply") { state in
            state.note(id, .reply(fate))
            state.records[id]?.replyTo = nil
            state.records[id]?.askers = []
            state.records[id]?.isReplied = true
        }
    }

    func remark(_ id: TaskID, _ text: String) { state.withLock { $0.note(id, .note(text)) } }

    func settle(_ id: TaskID, _ fate: ReplyFate?) async throws(JournalError) {
        try change(id, "settle") { state, record in
            guard record.isOver, !record.isReplied || fate == nil else { return }
            if let fate { state.note(id, .reply(fate)) }
            record.isReplied = true
            record.plan = nil
            record.args = JSONValue.object(record.args).redacted().objectValue ?? [:]
            if case .success(var result) = record.outcome {
                result.connectionInfo = JSONValue.object(result.connectionInfo).redacted().objectValue ?? [:]
                record.outcome = .success(result)
            }
        }
        settled.yield(id)
    }

    func unfinished() async throws(JournalError) -> [UnfinishedTask] {
        try call("unfinished") { state in
            let all = state.order.compactMap { state.records[$0] }
            let begun = all.filter { !$0.isOver && ($0.plan != nil || $0.outcome != nil) }
            let waiting = all.filter { !$0.isOver && $0.plan == nil && $0.outcome == nil }
            return (begun + waiting + all.filter { $0.isOver && !$0.isReplied }).map(UnfinishedTask.init)
        }
    }

    func record(_ id: TaskID) async throws(JournalError) -> SwapRecord? {
        if state.withLock({ $0.damaged.contains(id) }) { throw JournalError(.unusable, "damaged") }
        return try call("record") { state in SwapRecordBox(record: state.records[id]) }.record
    }

    func history(_ id: TaskID) async throws(JournalError) -> [HistoryEntry] { try call("history") { $0.histories[id] ?? [] } }

    func records(_ query: SwapQuery) async throws(JournalError) -> [SwapRecord] {
        try call("records") { state in
            let all = state.order.reversed().compactMap { state.records[$0] }
            return Array(
                all.filter { record in
                    (!query.isStranded || record.isStranded)
                        && (query.instanceKeys.isEmpty || query.instanceKeys.contains(record.instanceKey))
                        && (query.disk.map { $0 == record.disk } ?? true)
                        && (query.idPrefix.map { record.id.text.hasPrefix($0) } ?? true)
                        && (query.volumeID.map { record.volumeIDs.contains($0) } ?? true)
                        && (query.states?.contains(record.phase.publicState) ?? true)
                }.prefix(query.limit))
        }
    }

    func prune(before date: Date) async throws(JournalError) -> Int {
        try call("prune") { state in
            let old = state.records.values.filter { $0.isReplied && $0.finishedAt.map { $0 < date } ?? false }.map(\.id)
            for id in old { state.records[id] = nil }
            state.order.removeAll { old.contains($0) }
            return old.count
        }
    }

    func probe(bytes: Int) async throws(JournalError) {}
    func close() async {}
}

/// Distinguishes "there is no record" from "the call failed".
private struct SwapRecordBox {
    var record: SwapRecord?
}

extension SwapRecord {
    /// The request's `old_volume_id` and `new_volume_id`.
    var volumeIDs: [String] { ["old_volume_id", "new_volume_id"].compactMap { self.args[$0]?.stringValue } }

    /// Whether it left its disk on the new volume without libvirt's knowledge.
    var isStranded: Bool { if case .failure(let failure)? = self.outcome { failure.course?.isStranded == true } else { false } }
}

extension SwapOutcome {
    /// What was answered ahead of the end, as a journal completes it when the task is finished.
    func ending(as outcome: SwapOutcome) -> SwapOutcome {
        guard case .failure(var told) = self, case .failure(let ended) = outcome else { return self }
        (told.conclusion, told.course) = (ended.conclusion, ended.course)
        return .failure(told)
    }

    /// As the caller was told it, perhaps ahead of the end.
    var asTold: SwapOutcome {
        guard case .failure(var failure) = self else { return self }
        (failure.conclusion, failure.course) = (nil, nil)
        return .failure(failure)
    }
}
