/// Finds the host's own block devices that are a volume of a network protocol: a mapped rbd image, an iSCSI LUN.
struct HostDevices: Sendable {
    let hypervisor: any Hypervisor

    struct Finding: Sendable {
        /// The devices, by udev's or the kernel's names.
        var paths: [String] = []
        /// Devices that did not answer and were assumed to be other volumes, for a warning.
        var doubts: [String] = []
    }

    /// Finds the devices that are a volume.
    ///
    /// - Parameter driver: whose volume it is.
    func find(_ volume: VolumeIdentity, of driver: any NetworkVolumeDriver) async throws(HypervisorError) -> Finding {
        guard driver.hostDevice != .never else { return Finding() }
        let paths = try await hypervisor.hostDevices(of: driver.networkProtocol)
        // udev's names say all that is needed.
        let unnamed = paths.filter { driver.name(ofPath: $0) == nil }.map { VolumeLocation.block($0) }
        let answers = await VolumeIdentifier(hypervisor: hypervisor, owner: .another).identities(of: Set(unnamed))
        var finding = Finding()
        for path in paths {
            let place = VolumeLocation.block(path)
            if (answers[place]?.identity ?? VolumeIdentity(text: place)).meets(volume) { finding.paths.append(path) }
        }
        finding.doubts = unnamed.compactMap { place in
            answers[place]?.trouble.map { "\(place), which the host has, was assumed to be another volume: \($0)" }
        }
        return finding
    }
}
