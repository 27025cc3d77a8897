import Basics

/// Those who wait until all that was queued before them has been tried. Pure but for the waiters.
struct SettlingReaders {
    /// Waits for the batch that is being written; nil when none is.
    private var running: Waiters<Void>?
    /// Waits for the batch after it; nil when nothing is queued.
    private var next: Waiters<Void>?

    mutating func queued() { next = next ?? Waiters() }

    /// - Returns: nil when there is nothing to wait for.
    mutating func add() -> Waiter<Void>? { next?.add() ?? running?.add() }

    mutating func begins() { (running, next) = (next, nil) }

    mutating func ends() {
        running?.resumeAll(())
        running = nil
    }
}
