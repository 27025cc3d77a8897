/// What was done about a copy whose remaining bytes did not fall.
package enum ConvergenceStep: String, Sendable, Hashable, Codable, CaseIterable {
    /// QEMU has gone over to write-blocking: the guest's writes go to both volumes.
    case changed
    /// The copy is being ended, to begin it again with synchronous writes.
    case ending
    /// The copy was begun again with synchronous writes.
    case begunAgain = "begun_again"
    /// Neither is possible here: the copy goes on as before.
    case impossible
}
