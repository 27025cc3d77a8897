/// The virtual processors and the memory of a domain.
extension DomainDocument {
    /// The processors in use and those that there may be.
    var vcpus: String? {
        guard let vcpu = root.first("vcpu"), let most = Int(vcpu.text.trimmed) else { return nil }
        return "\(vcpu.value("current") ?? String(most)) of \(most)"
    }

    /// The size of all memory, in KiB; nil if it is not given in KiB, as libvirt does.
    var memory: Int64? { root.first("memory")?.kibibytes }

    /// The size of the memory that the guest is left by the balloon, in KiB.
    var currentMemory: Int64? { root.first("currentMemory")?.kibibytes }

    /// Takes a number of processors in use.
    ///
    /// - Returns: false if the configuration counts them otherwise: each one in `<vcpus>`.
    func takeVCPUs(from live: DomainDocument) -> Bool {
        guard root.first("vcpus") == nil, let own = root.first("vcpu"), let vcpu = live.root.first("vcpu"),
            own.text.trimmed == vcpu.text.trimmed
        else { return false }
        own.set("current", vcpu.value("current"))
        return true
    }

    /// Makes room in the domain's sizes for a memory device that is added, or the reverse.
    ///
    /// As libvirt does for a running domain: a balloon that is empty stays empty. With NUMA nodes libvirt computes the sum itself.
    func count(_ module: EditableElement, isAdded: Bool) {
        guard module.name == "memory", let size = module.first("target")?.first("size")?.kibibytes, let memory else { return }
        let sum = isAdded ? memory + size : memory - size
        guard sum > 0 else { return }
        if let current = currentMemory {
            let left = isAdded && current == memory ? sum : min(current, sum)
            root.first("currentMemory")?.text = String(left)
        }
        root.first("memory")?.text = String(sum)
    }
}

extension EditableElement {
    fileprivate var kibibytes: Int64? { ["KiB", nil].contains(value("unit")) ? Int64(text.trimmed) : nil }
}

extension String {
    fileprivate var trimmed: String { split(whereSeparator: \.isWhitespace).joined() }
}
