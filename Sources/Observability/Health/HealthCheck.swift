/// What one readiness check found.
package struct HealthCheck: Sendable, Equatable {
    /// Short name of what was checked: `broker`, `libvirt`.
    package let name: String
    /// Whether it holds.
    package let isOK: Bool
    /// Why it does not hold, or what an operator should know although it does; one line.
    package let detail: String

    /// - Parameter detail: why it does not hold, or what to know although it does.
    package init(_ name: String, ok: Bool, detail: String = "") {
        self.name = name
        self.isOK = ok
        self.detail = detail
    }
}
