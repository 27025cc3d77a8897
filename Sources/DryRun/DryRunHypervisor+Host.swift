import Synchronization
package import VolumeSwap

extension DryRunHypervisor {
    /// Always supported.
    package func growSupport(of domain: DomainIdentity) async throws(HypervisorError) -> GrowSupport { .supported }
    package func keepsTPMState() async throws(HypervisorError) -> Bool { true }

    /// Every encrypted volume has its secret.
    package func secret(usageType: SecretUsage, usage: String) async throws(HypervisorError) -> String? {
        usageType == .volume ? Self.identity(InstanceReference(uuid: nil, name: usage)).uuid : nil
    }

    /// Always false: a volume not declared as encrypted is plain.
    package func hasPassphrase(volumeID: String) async throws(HypervisorError) -> Bool { false }

    package func hasSecret(uuid: String) async throws(HypervisorError) -> Bool { true }

    /// Does nothing: secrets are not kept.
    package func makeSecret(xml: String, uuid: String, value: [UInt8]) async throws(HypervisorError) {}

    package func removeSecret(uuid: String) async throws(HypervisorError) {}

    /// Every path exists: a block device below `/dev`, else a file.
    package func inspect(path: String) async throws(HypervisorError) -> PathDescription? {
        let location = Self.location(path: path)
        let kind: PathDescription.Kind = if case .block = location { .block } else { .file }
        return PathDescription(kind: kind, bytes: size(location), canonicalPath: path, names: [path], deviceNumber: nil)
    }

    /// Always 0: the guest can use all of an encrypted volume.
    package func luksPayloadOffset(path: String) async throws(HypervisorError) -> Int64? { 0 }

    func size(_ location: VolumeLocation) -> Int64 {
        let known = state.withLock { state in location.path.flatMap { state.sizes[$0] } }
        return known ?? options.sizeGiB << 30
    }
}
