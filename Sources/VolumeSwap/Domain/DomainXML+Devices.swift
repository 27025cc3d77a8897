extension DomainXML {
    /// A saved definition updated with what happened to the running domain.
    package struct TakenDevices: Sendable, Hashable {
        /// The definition; exactly the saved one if there are no changes.
        package var xml: String
        /// What is different from the saved definition, such as `attached disk vdc`.
        package var changes: [String] = []
        /// What happened to the running domain and is not in the definition.
        package var warnings: [String] = []
    }

    /// What of a running domain can change while it has no stored configuration: its devices' names, the disks' places, and its
    /// sizes. ``takingDevices(_:known:of:from:only:)`` detects changes with it.
    ///
    /// - Throws: ``SwapFailure`` if the string is not a domain's XML.
    package static func devices(_ liveXML: String) throws(SwapFailure) -> [String] {
        let live = try DomainDocument(xml: liveXML)
        let others = live.otherDevices.sorted { $0.key < $1.key }.map { "number of \($0.key) \($0.value)" }
        let sizes = [
            live.vcpus.map { "vcpus \($0)" }, live.memory.map { "size of memory \($0)" },
            live.currentMemory.map { "size of currentMemory \($0)" },
        ]
        return [DeviceTransfer.allKinds] + live.namedDevices.map(\.name) + (try places(liveXML)).map { place($0, $1) } + others
            + sizes.compactMap(\.self)
    }

    private static func places(_ liveXML: String) throws(SwapFailure) -> [(disk: String, location: String)] {
        try DomainDescription(xml: liveXML).disks.compactMap { disk in disk.location.map { (disk.target, $0.description) } }
    }

    private static func place(_ disk: String, _ location: String) -> String { "place of \(disk) \(location)" }

    /// A saved definition updated with what happened to the running domain since `known` was recorded: devices plugged,
    /// unplugged, and disks moved. Without a definition libvirt changed only the running domain.
    ///
    /// - Parameters:
    ///   - known: the result of ``devices(_:)``. That of an earlier version knows only disks and interfaces, perhaps no places.
    ///   - swapped: the swap's own disk, which is ignored.
    ///   - kinds: the kinds of devices to take.
    /// - Throws: ``SwapFailure`` if either string is not a domain's XML.
    package static func takingDevices(
        _ savedXML: String, known: [String], of swapped: String, from liveXML: String, only kinds: DeviceTransfer.Kinds = .all
    ) throws(SwapFailure) -> TakenDevices {
        let stored = try DomainDocument(xml: savedXML)
        let live = try DomainDocument(xml: liveXML)
        var transfer = DeviceTransfer(stored: stored, live: live, known: known, kinds: kinds)
        let moved = try places(liveXML).filter { disk, location in
            disk != swapped && stored.diskElement(disk) != nil
                && known.contains { $0.hasPrefix(place(disk, "")) } && !known.contains(place(disk, location))
        }
        for (disk, _) in moved { transfer.changes.append(try follow(disk, in: stored, from: live)) }
        transfer.run()
        return TakenDevices(
            xml: transfer.changes.isEmpty ? savedXML : stored.xml, changes: transfer.changes, warnings: transfer.warnings)
    }

    /// Gives a disk of `stored` the place that it has in `live`. One that was exchanged, as another under the same target, is
    /// taken as a whole.
    private static func follow(_ disk: String, in stored: DomainDocument, from live: DomainDocument) throws(SwapFailure) -> String
    {
        if let old = stored.diskElement(disk), let new = live.diskElement(disk), old.diskIdentity != new.diskIdentity {
            stored.devices?.remove { $0 === old }
            stored.plug(new)
            return "exchanged disk \(disk)"
        }
        try takeSource(into: stored, disk: disk, from: live)
        return "moved disk \(disk)"
    }
}

extension EditableElement {
    /// What a disk keeps when it moves.
    fileprivate var diskIdentity: [String?] {
        [value("device") ?? "disk", first("target")?.value("bus"), first("serial")?.text, first("wwn")?.text]
    }
}
