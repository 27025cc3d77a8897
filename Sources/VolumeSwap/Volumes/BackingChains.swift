import Basics

/// Reads the backing chains that libvirt does not name: those of domains that do not run.
struct BackingChains: Sendable {
    let hypervisor: any Hypervisor

    /// What is below an image.
    struct Chain: Sendable, Hashable {
        /// From the top down, without the image itself.
        var places: [VolumeLocation] = []
        /// Why it may go on, for a warning; nil if it is complete.
        var trouble: String?
    }

    /// QEMU has no limit; a longer chain is damaged, or takes too long to follow.
    static let depth = 32
    /// How many chains are read at a time.
    private static let readers = 8

    /// The chains of these domains' qcow2 images, by the image. A raw disk has none: its guest could write a header.
    ///
    /// - Throws: `CancellationError`.
    func read(_ domains: [DomainDescription]) async throws -> [VolumeLocation: Chain] {
        let stored = domains.filter { !$0.isLive }.flatMap { $0.disks }.filter { $0.format == "qcow2" && $0.backing.isEmpty }
        guard !stored.isEmpty else { return [:] }
        let live = domains.filter { $0.isLive }.flatMap { $0.disks }.compactMap { $0.location }
        // libvirt names the chain of an image that a guest runs on.
        let images = Set(stored.compactMap { $0.location }).subtracting(live).filter { $0.path != nil }
        let ordered = images.sorted { $0.description < $1.description }
        let chains = try await concurrentMap(ordered, limit: Self.readers) { image in await chain(below: image.path ?? "") }
        return Dictionary(zip(ordered, chains)) { first, _ in first }
    }

    private func chain(below image: String) async -> Chain {
        var chain = Chain()
        var (path, seen): (String, Set) = (image, [image])
        while chain.places.count < Self.depth {
            switch await hypervisor.backingFile(of: path) {
            case .nothing: return chain
            case .failed(let reason): chain.trouble = reason
            case .noAnswer: chain.trouble = "\(path) does not answer"
            case .found(let file):
                guard let below = file.path(from: path) else {
                    chain.trouble = "\(path) is on \(file.name), which is not a path"
                    return chain
                }
                guard seen.insert(below).inserted else { return chain }
                // QEMU opens a device by any path.
                chain.places.append(.block(below))
                guard file.format ?? "qcow2" == "qcow2" else { return chain }
                path = below
            }
            if chain.trouble != nil { return chain }
        }
        chain.trouble = "it has more than \(Self.depth) images"
        return chain
    }
}
