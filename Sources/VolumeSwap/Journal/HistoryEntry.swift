package import Foundation

/// One event of a task, as `pivotd explain` shows it.
package struct HistoryEntry: Sendable, Hashable {
    package enum Event: Sendable, Hashable {
        /// The task entered a phase.
        case phase(SwapPhase)
        /// What an operator should know: what delays it, in libvirt's or QEMU's words, a limit, a restart. Never a secret.
        case note(String)
        /// What became of the final reply.
        case reply(ReplyFate)
    }

    /// When it happened, by the wall clock, to the millisecond.
    package var at: Date
    package var event: Event

    package init(_ event: Event, at date: Date) {
        self.event = event
        at = date
    }
}

/// What became of a final reply.
package enum ReplyFate: String, Sendable, Hashable {
    /// The broker has confirmed it.
    case delivered
    /// Its queue was missing for too long, or the broker will never take it.
    case givenUp = "given_up"
}
