/// How the copy is done: nova's way (`rebase`) or `virDomainBlockCopy` (`copy`).
package enum SwapStrategy: String, Sendable, Hashable, Codable {
    case rebase
    case copy
}
