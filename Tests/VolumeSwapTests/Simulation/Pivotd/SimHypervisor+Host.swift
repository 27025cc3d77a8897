@testable import VolumeSwap

extension SimHypervisor {
    func secret(usageType: SecretUsage, usage: String) async throws(HypervisorError) -> String? {
        try await call("secret", nil, .nothing) { [libvirt] in libvirt.secrets["\(usageType):\(usage)"] }
    }

    func hasSecret(uuid: String) async throws(HypervisorError) -> Bool {
        try await call("secret", nil, .nothing) { [libvirt] in libvirt.secrets.values.contains(uuid) }
    }

    func makeSecret(xml: String, uuid: String, value: [UInt8]) async throws(HypervisorError) {
        let usage = (try? XMLTree(parsing: xml))?.first("usage")
        let key = "\(usage?.value("type") ?? ""):\(usage?.children.first?.text ?? "")"
        try await call("define secret", nil, .nothing, isWrite: true) { [libvirt] in libvirt.secrets[key] = uuid }
    }

    func removeSecret(uuid: String) async throws(HypervisorError) {
        try await call("undefine secret", nil, .nothing, isWrite: true) { [libvirt, world] () throws(HypervisorError) in
            guard let key = libvirt.secrets.first(where: { $0.value == uuid })?.key else {
                throw HypervisorError(.noSecret, number: 66, "Secret not found")
            }
            if world.mutation != .secretsKept { libvirt.secrets[key] = nil }
        }
    }

    func inspect(path: String) async throws(HypervisorError) -> PathDescription? {
        try await live()
        return world.path(path)
    }

    /// A file on a hanging server does not answer.
    func look(at path: String, of owner: PathOwner) async -> PathAnswer {
        guard life.pass() else { return .noAnswer }
        if world.isHung(path) {
            await world.pause(SimClock.time(owner.patience))
            if world.isHung(path) { return .noAnswer }
        }
        return world.path(path).map { .found($0) } ?? .nothing
    }

    func addresses(ofHost name: String) async -> [String] {
        (name == "127.1" || name == "localhost") && world.mutation != .aliasesDenied ? ["127.0.0.1"] : [name]
    }

    func luksPayloadOffset(path: String) async throws(HypervisorError) -> Int64? { nil }
}
