import VolumeSwap

/// Changes that wait for the next transaction, in their order, less those that it would overwrite. Pure.
struct WriteQueue {
    struct Entry {
        let write: JournalWrite
        /// nil for a note.
        let reply: GroupCommit.Reply?
    }

    private var entries: [Entry] = []
    /// Where a task's newest entry is, if that is a note of its phase or outcome: the next one may make it needless.
    private var notes: [TaskID: Int] = [:]
    /// Notes of a failed transaction: they go before the next one's entries.
    private var retained: [Entry] = []

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    mutating func append(_ entry: Entry) {
        if let task = entry.write.task {
            if let index = notes.removeValue(forKey: task) {
                let noted = entries[index].write
                if entry.reply == nil, let both = noted.merged(with: entry.write) {
                    entries[index] = Entry(write: both, reply: nil)
                    return
                }
                // Overwritten in the same transaction: the noted phase need not be written.
                if noted.isPhase, entry.write.replacesPhase { entries[index] = Entry(write: .barrier, reply: nil) }
            }
            if entry.reply == nil, entry.write.replacesPhase { notes[task] = entries.count }
        }
        entries.append(entry)
    }

    /// All that waits; nothing when only retained notes do.
    mutating func take() -> [Entry] {
        guard !entries.isEmpty else { return [] }
        var batch = entries
        entries = []
        entries.reserveCapacity(batch.count)
        if !retained.isEmpty { batch.insert(contentsOf: retained, at: 0) }
        retained = []
        notes.removeAll(keepingCapacity: true)
        return batch
    }

    /// Keeps what nobody waits for, but of each task its newest phase only.
    mutating func retain(_ failed: [Entry]) {
        for note in failed where note.reply == nil {
            if case .barrier = note.write { continue }
            if note.write.replacesPhase { retained.removeAll { $0.write.isPhase && $0.write.task == note.write.task } }
            retained.append(note)
        }
    }
}
