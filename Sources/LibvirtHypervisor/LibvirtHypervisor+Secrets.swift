import Libvirt
package import VolumeSwap

extension LibvirtHypervisor {
    /// `virSecretLookupByUsage`; nil if there is none.
    package func secret(usageType: SecretUsage, usage: String) async throws(HypervisorError) -> String? {
        let type: LibvirtSecret.UsageType =
            switch usageType {
            case .volume: .volume
            case .iscsi: .iscsi
            }
        return try await ifThere("secretLookup") { (connection) throws(LibvirtError) in
            try await connection.secret(usageType: type, usage: usage).uuid
        }
    }

    /// `virSecretLookupByUUIDString`
    package func hasSecret(uuid: String) async throws(HypervisorError) -> Bool {
        try await ifThere("secretLookup") { (connection) throws(LibvirtError) in try await connection.secret(uuid: uuid).uuid }
            != nil
    }

    /// `virSecretDefineXML`, then `virSecretSetValue`.
    package func makeSecret(xml: String, uuid: String, value: [UInt8]) async throws(HypervisorError) {
        try await write("secretDefineXML") { (connection) throws(LibvirtError) in
            try await connection.defineSecret(xml: xml).setValue(value)
        }
    }

    /// `virSecretUndefine`; succeeds if the secret is already gone.
    package func removeSecret(uuid: String) async throws(HypervisorError) {
        do throws(HypervisorError) {
            try await write("secretUndefine") { (connection) throws(LibvirtError) in
                try await connection.secret(uuid: uuid).undefine()
            }
        } catch {
            guard error.code == .noSecret else { throw error }
        }
    }

    private func ifThere(
        _ name: String, _ find: @escaping @Sendable (LibvirtConnection) async throws(LibvirtError) -> String
    ) async throws(HypervisorError) -> String? {
        do throws(HypervisorError) {
            return try await read(name, find)
        } catch {
            guard error.code == .noSecret else { throw error }
            return nil
        }
    }
}
