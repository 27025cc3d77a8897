import VolumeSwap

/// Changes waiting for the next transaction, in order, except those that it would overwrite. Pure.
struct WriteQueue {
    struct Entry {
        let write: JournalWrite
        /// nil for a note, which nobody waits for.
        let reply: GroupCommit.Reply?
        /// Lines to append to the task's history (``HistoryText``).
        var history = ""
    }

    private var entries: [Entry] = []
    /// The index of a task's newest entry if that is a note of its phase or outcome, or a remark, which may join the next one.
    private var notes: [TaskID: Int] = [:]
    /// Notes from a failed transaction, to be written before the next one's entries.
    private var retained: [Entry] = []

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    mutating func append(_ entry: Entry) {
        var entry = entry
        if let task = entry.write.task {
            if let index = notes[task] {
                if entry.write.isRemark {
                    entries[index].history += entry.history
                    return
                }
                notes[task] = nil
                let noted = entries[index]
                if entry.reply == nil, let both = noted.write.merged(with: entry.write) {
                    entries[index] = Entry(write: both, reply: nil, history: noted.history + entry.history)
                    return
                }
                // The noted phase would be overwritten in the same transaction, so it is dropped; history keeps it.
                let isOverwritten = entry.write.overwrites(noted.write)
                if isOverwritten || (noted.write.isRemark && entry.write.takesHistory) {
                    entry.history = noted.history + entry.history
                    entries[index] = Entry(write: .barrier, reply: nil)
                }
            }
            if entry.reply == nil, entry.write.replacesPhase || entry.write.isRemark { notes[task] = entries.count }
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

    /// Keeps the notes, but only the newest phase of each task, and no remarks.
    mutating func retain(_ failed: [Entry]) {
        for var note in failed where note.reply == nil && !note.write.isDispensable {
            let replaced = retained.filter { note.write.overwrites($0.write) }
            note.history = replaced.map(\.history).joined() + note.history
            retained.removeAll { note.write.overwrites($0.write) }
            retained.append(note)
        }
    }
}
