/// What the host itself does with a block device.
package struct HostUse: Sendable, Hashable, CustomStringConvertible {
    /// The devices over it, by device mapper's names if they have some: `vg0-root`, `md0`. Empty if it is mounted or swap space itself.
    package var holders: [String]

    package init(holders: [String] = []) { self.holders = holders }

    package var description: String {
        "the host itself uses it" + (holders.isEmpty ? "" : ", through \(holders.joined(separator: ", "))")
    }
}
