/// How the copy is done: nova's way (`rebase`, `virDomainBlockRebase`) or with `virDomainBlockCopy` (`copy`).
package enum SwapStrategy: String, CaseIterable, Sendable, Hashable, Codable {
    case rebase
    case copy
}
