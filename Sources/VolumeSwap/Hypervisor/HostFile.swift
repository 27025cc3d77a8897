/// A file that the host itself uses.
package struct HostFile: Sendable, Hashable {
    /// The file's path, as the kernel shows it.
    package var path: String
    /// What uses it, for messages: `the loop device /dev/loop3`, `swap space`.
    package var user: String

    package init(path: String, user: String) {
        self.path = path
        self.user = user
    }
}
