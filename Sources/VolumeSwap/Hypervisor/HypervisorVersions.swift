/// The versions of a hypervisor's parts, such as `9.0.0`; nil for what it does not have.
package struct HypervisorVersions: Sendable, Hashable {
    /// `virConnectGetLibVersion`
    package var libvirt: String?
    /// `virConnectGetVersion`
    package var qemu: String?

    package init(libvirt: String? = nil, qemu: String? = nil) {
        self.libvirt = libvirt
        self.qemu = qemu
    }

    /// libvirt's number for a version, as text.
    package static func text(_ version: UInt) -> String {
        "\(version / 1_000_000).\(version / 1000 % 1000).\(version % 1000)"
    }
}
