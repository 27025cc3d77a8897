import Dispatch

/// Decides whether a transaction waits a moment for more changes, in a journal that syncs nothing: there is no sync during which
/// changes pile up. Where they come one by one, waiting in vain is soon given up. Pure.
struct Gathering: Sendable {
    /// How long a wait is.
    static let delay = DispatchTimeInterval.milliseconds(4)
    /// A wait is worth it when so many changes come in it.
    static let worth = 4
    /// For so many transactions no wait is tried after one in vain; twice as many after each further one.
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

    /// A transaction begins, after a wait or without one.
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
