/// The result of one readiness check.
package struct HealthCheck: Sendable, Equatable {
    /// Short name of what was checked: `broker`, `libvirt`.
    package let name: String
    /// Whether the check passed.
    package let isOK: Bool
    /// Why it failed, or what an operator should know although it passed; one line.
    package let detail: String

    /// - Parameter detail: Why it failed, or what to know although it passed.
    package init(_ name: String, ok: Bool, detail: String = "") {
        self.name = name
        self.isOK = ok
        self.detail = detail
    }
}
