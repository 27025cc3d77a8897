import Basics

/// Readers waiting until everything queued before them has been tried. Pure except for the waiters.
struct DrainingReaders {
    /// Readers waiting for the batch that is being written; nil if none is.
    private var running: Waiters<Void>?
    /// Readers waiting for the batch after it; nil if nothing is queued.
    private var next: Waiters<Void>?

    mutating func queued() { next = next ?? Waiters() }

    /// - Returns: nil if there is nothing to wait for.
    mutating func add() -> Waiter<Void>? { next?.add() ?? running?.add() }

    mutating func begins() { (running, next) = (next, nil) }

    mutating func ends() {
        running?.resumeAll(())
        running = nil
    }
}
