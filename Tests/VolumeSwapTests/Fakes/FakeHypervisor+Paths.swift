import Synchronization

@testable import VolumeSwap

extension FakeHypervisor {
    var touches: [String] { state.withLock { $0.touches } }

    func look(at path: String, of owner: PathOwner) async -> PathAnswer {
        state.withLock { state in
            state.touches.append("look \(path)")
            if state.hungPaths.contains(path) { return .noAnswer }
            if let trouble = state.brokenPaths[path] { return .failed(trouble) }
            return state.paths[path].map { .found($0) } ?? .nothing
        }
    }

    func imageBytes(path: String) async throws(HypervisorError) -> Int64? { state.withLock { $0.imageBytes[path] } }

    func addresses(ofHost name: String) async -> [String] { state.withLock { $0.addresses[name] ?? [name] } }

    func isHeldByHost(path: String) async throws(HypervisorError) -> Bool { state.withLock { $0.heldPaths.contains(path) } }

    func hostUse(path: String) async throws(HypervisorError) -> HostUse? {
        try call(.hostUse) { state throws(HypervisorError) in
            state.heldPaths.contains(path) ? HostUse(holders: state.holders[path] ?? []) : nil
        }
    }

    func filesInUse() async throws(HypervisorError) -> [HostFile] { state.withLock { $0.filesInUse } }

    func hostDevices(of networkProtocol: String) async throws(HypervisorError) -> [String] {
        state.withLock { $0.hostDevices[networkProtocol] ?? [] }
    }

    func scsiDisk(at address: SCSIAddress) async throws(HypervisorError) -> String? {
        switch state.withLock({ $0.scsiDisks[address.description] }) {
        case .some(.some(let path)): return path
        case .some(.none): throw HypervisorError(.other, "sysfs cannot be read")
        case .none: return nil
        }
    }

    func backingFile(of path: String) async -> BackingAnswer {
        state.withLock { state in
            state.touches.append("read \(path)")
            return state.hungPaths.contains(path) ? .noAnswer : state.backingFiles[path] ?? .nothing
        }
    }

    func luksUUID(path: String) async throws(HypervisorError) -> String? {
        if let error = state.withLock({ $0.headerErrors[path] }) { throw error }
        return state.withLock { $0.luksUUIDs[path] }
    }

    /// Adds to what the host knows about a path.
    func describe(_ path: String, _ change: (inout PathDescription) -> Void) {
        state.withLock { state in
            if var place = state.paths[path] {
                change(&place)
                state.paths[path] = place
            }
        }
    }

    /// Another domain with a LUN passed through, whose `<source>` has these attributes and content.
    func addDomain(passingThrough source: String, isLive: Bool = true) {
        let xml = """
            <domain><name>vm-2</name><uuid>00000000-0000-4000-8000-000000000002</uuid><devices>\
            <hostdev mode='subsystem' type='scsi' managed='no'><source\(source)</source></hostdev></devices></domain>
            """
        guard var other = try? DomainDescription(xml: xml) else { return }
        other.isLive = isLive
        change { $0.others.append(other) }
    }

    /// Another domain with one disk, whose `<disk>` has this type and content.
    func addDomain(
        _ name: String = "other", type: String = "file", _ inner: String, target: String = "vdb", isLive: Bool = true
    ) {
        let xml = """
            <domain><name>\(name)</name><uuid>00000000-0000-4000-8000-000000000002</uuid><devices>\
            <disk type='\(type)' device='disk'>\(inner)<target dev='\(target)' bus='virtio'/></disk></devices></domain>
            """
        guard var other = try? DomainDescription(xml: xml) else { return }
        other.isLive = isLive
        change { $0.others.append(other) }
    }
}
