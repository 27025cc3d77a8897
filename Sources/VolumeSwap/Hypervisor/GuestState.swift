/// Whether a guest's CPUs run, or why not (`virDomainGetState`).
package enum GuestState: Sendable, Hashable {
    case running
    /// Paused at somebody's request, such as an operator's or pivotd's own.
    case pausedOnRequest
    /// Paused for another reason, such as a migration or an I/O error.
    case paused(String)
    /// There are no CPUs to pause.
    case notRunning
}
