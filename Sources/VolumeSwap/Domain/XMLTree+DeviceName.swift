/// What tells the devices of a domain apart. The running and the stored configuration name the same device alike, and nothing
/// that changes while a guest runs (aliases, states, paths of terminals, sizes in use) is in a name.
extension XMLTree {
    /// Kinds named by what the guest or libvirt knows them by: two devices with one name are the same device.
    ///
    /// The other kinds are named by their description and guest address. The stored configuration may have another address.
    static let surelyNamedKinds: Set = ["disk", "interface", "controller", "filesystem", "lease", "shmem", "vsock", "channel"]

    private static let namedKinds = surelyNamedKinds.union(["hostdev", "memory", "rng", "redirdev", "watchdog", "input"])

    /// The kind of device that a ``deviceName`` names; nil for another string.
    static func kind(ofDevice name: String) -> String? {
        name.split(separator: " ").first.map { String($0) }.flatMap { namedKinds.contains($0) ? $0 : nil }
    }

    /// The kind and the identity of a child of `<devices>`.
    ///
    /// nil for what libvirt cannot plug into a running guest, and for serial ports and consoles: `<console>` repeats the first
    /// `<serial>`, and their order is their numbering.
    var deviceName: String? { identity.map { ([name] + $0).joined(separator: " ") } }

    private var identity: [String]? {
        switch name {
        case "disk": first("target")?.value("dev").map { [$0] }
        case "interface": first("mac")?.value("address").map { [$0.lowercased()] }
        case "controller": values("type", "index")
        case "filesystem": first("target")?.value("dir").map { [$0] }
        case "lease": [first("lockspace")?.text ?? "", first("key")?.text ?? ""]
        case "shmem": value("name").map { [$0] }
        case "vsock": [first("cid")?.value("auto") == "yes" ? "auto" : first("cid")?.value("address") ?? ""]
        case "channel": channelIdentity
        case "hostdev": hostDeviceIdentity
        case "memory": values("model") + (first("target")?.facts(of: "size", "node") ?? []) + facts(of: "source") + guestAddress
        case "rng": values("model") + facts(of: "backend") + guestAddress
        case "redirdev": values("bus", "type") + guestAddress
        case "watchdog": values("model", "action") + guestAddress
        case "input": values("type", "bus") + facts(of: "source") + guestAddress
        default: nil
        }
    }

    private var channelIdentity: [String] {
        var target = first("target") ?? XMLTree("target")
        target.attributes["state"] = nil
        return target.facts + (target.value("name") == nil ? guestAddress : [])
    }

    /// The device of the host. A USB device's number on the host changes, and the stored configuration may lack it.
    private var hostDeviceIdentity: [String] {
        var source = first("source") ?? XMLTree("source")
        for attribute in ["startupPolicy", "guestReset", "index"] { source.attributes[attribute] = nil }
        let isByVendor = source.first("vendor") != nil
        if isByVendor { source.children.removeAll { $0.name == "address" } }
        return values("mode", "type") + source.facts + (isByVendor ? guestAddress : [])
    }

    /// Where the guest has it. libvirt finds a DIMM's base anew at each start.
    private var guestAddress: [String] { first("address").map { ["at"] + $0.addressFacts } ?? [] }

    /// An `<address>` without what libvirt may fill in.
    var addressFacts: [String] {
        var address = self
        for attribute in ["base", "multifunction"] { address.attributes[attribute] = nil }
        return address.facts
    }

    private func values(_ attributes: String...) -> [String] { attributes.compactMap { value($0) } }

    private func facts(of names: String...) -> [String] { children.filter { names.contains($0.name) }.flatMap(\.facts) }

    /// Its attributes and text, and those of all that is inside.
    private var facts: [String] {
        let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return attributes.map { "\($0.key)=\($0.value)" }.sorted() + (words.isEmpty ? [] : [words]) + children.flatMap(\.facts)
    }
}
