/// Readers that wait until what was queued before them has been tried. Pure but for the continuations, which it never resumes.
struct SettlingReaders {
    typealias Reader = CheckedContinuation<Void, Never>

    /// Batches that were begun, and those that have ended.
    private var (begun, ended): (UInt64, UInt64) = (0, 0)
    private var isQueued = false
    private var waiting: [UInt64: (batch: UInt64, reader: Reader)] = [:]
    private var lastID: UInt64 = 0

    mutating func queued() { isQueued = true }

    /// - Returns: nil when there is nothing to wait for.
    mutating func add(_ reader: Reader) -> UInt64? {
        let batch = isQueued ? begun + 1 : begun
        guard batch > ended else { return nil }
        lastID += 1
        waiting[lastID] = (batch, reader)
        return lastID
    }

    mutating func remove(_ id: UInt64) -> Reader? { waiting.removeValue(forKey: id)?.reader }

    mutating func begins() {
        begun += 1
        isQueued = false
    }

    /// - Returns: those who have waited for the batch that has ended.
    mutating func ends() -> [Reader] {
        ended = begun
        let done = waiting.filter { $0.value.batch <= ended }
        for id in done.keys { waiting[id] = nil }
        return done.values.map(\.reader)
    }
}
