/// What is done about a copy that a busy guest outruns: the option `convergence`.
package enum Convergence: String, Sendable, Hashable, Codable, CaseIterable {
    /// Nothing: it goes on until it stalls.
    case off
    /// Once the remaining bytes have not fallen for a while, the guest's writes go to both volumes.
    case auto
    /// The guest's writes go to both volumes from the start, as with `synchronous_writes`.
    case always
}
