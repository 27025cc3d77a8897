import VolumeSwap

/// Changes waiting for the next transaction, in order, except those that it would overwrite. Pure.
struct WriteQueue {
    struct Entry {
        let write: JournalWrite
        /// nil for a note, which nobody waits for.
        let reply: GroupCommit.Reply?
    }

    private var entries: [Entry] = []
    /// The index of a task's newest entry if that is a note of its phase or outcome, which the next one may make redundant.
    private var notes: [TaskID: Int] = [:]
    /// Notes from a failed transaction, to be written before the next one's entries.
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
                // The noted phase would be overwritten in the same transaction, so it is dropped.
                if noted.isPhase, entry.write.replacesPhase { entries[index] = Entry(write: .barrier, reply: nil) }
            }
            if entry.reply == nil, entry.write.replacesPhase { notes[task] = entries.count }
        }
        entries.append(entry)
    }

    /// Takes everything that waits; nothing if only retained notes do.
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

    /// Keeps the notes, but only the newest phase of each task.
    mutating func retain(_ failed: [Entry]) {
        for note in failed where note.reply == nil {
            if case .barrier = note.write { continue }
            if note.write.replacesPhase { retained.removeAll { $0.write.isPhase && $0.write.task == note.write.task } }
            retained.append(note)
        }
    }
}
