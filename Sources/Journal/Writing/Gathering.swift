import Dispatch

/// Decides whether a transaction waits briefly for more changes, in a journal without syncs, when none accumulate. Pure.
///
/// If changes come one by one, it soon gives up waiting.
struct Gathering: Sendable {
    /// The length of a wait.
    static let delay = DispatchTimeInterval.milliseconds(4)
    /// Number of changes that make a wait worthwhile.
    static let worth = 4
    /// Number of transactions without a wait after one in vain, doubled after each further one.
    static let pause = 64...4096

    private var queuedBefore: Int?
    private var skipped = 0
    private var nextPause = Self.pause.lowerBound

    /// Whether to wait now.
    mutating func begins(queued: Int) -> Bool {
        guard skipped == 0 else {
            skipped -= 1
            return false
        }
        queuedBefore = queued
        return true
    }

    /// A transaction begins, with or without a wait.
    mutating func ends(queued: Int) {
        guard let before = queuedBefore else { return }
        queuedBefore = nil
        guard queued - before < Self.worth else {
            nextPause = Self.pause.lowerBound
            return
        }
        skipped = nextPause
        nextPause = min(2 * nextPause, Self.pause.upperBound)
    }
}
