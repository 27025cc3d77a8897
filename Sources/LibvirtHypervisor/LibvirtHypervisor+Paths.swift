package import VolumeSwap

/// Which volume is which, by this host's word.
extension LibvirtHypervisor {
    package func look(at path: String, of owner: PathOwner) async -> PathAnswer { await host.look(at: path, of: owner) }

    package func addresses(ofHost name: String) async -> [String] { await HostAddresses().addresses(of: name) }

    package func isHeldByHost(path: String) async throws(HypervisorError) -> Bool { try await host.isHeld(path) }

    package func luksUUID(path: String) async throws(HypervisorError) -> String? { try await host.luksUUID(path) }
}
