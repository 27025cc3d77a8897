extension DomainDocument {
    /// Adds a running domain's device to this stored configuration.
    func plug(_ device: EditableElement) {
        let addresses = Set(devices?.children.compactMap(\.guestPlace) ?? [])
        devices?.add(device.storable(besides: addresses))
    }
}

extension EditableElement {
    /// A copy of a running domain's device for its stored configuration, without what only a running domain has.
    ///
    /// - Parameter addresses: ``guestPlace`` of the devices in the stored configuration. A device whose address is not free there
    ///   gets one from libvirt, which would refuse the whole definition otherwise.
    fileprivate func storable(besides addresses: Set<String>) -> EditableElement {
        let copy = copy()
        copy.remove { child in
            switch child.name {
            case "backingStore", "mirror", "privateData": true
            // libvirt's own aliases are those of one run; a user's begin with ua-.
            case "alias": child.value("name")?.hasPrefix("ua-") != true
            default: false
            }
        }
        copy.first("source")?.set("index", nil)
        copy.removeRunningParts()
        if let place = copy.guestPlace, addresses.contains(place) { copy.remove { $0.name == "address" } }
        return copy
    }

    /// The guest's bus and the address on it.
    fileprivate var guestPlace: String? {
        first("address").map { address in
            // Two disks on different buses may have the same drive address.
            ([address.value("type") == "drive" ? first("target")?.value("bus") ?? "scsi" : ""] + address.tree.addressFacts)
                .joined(separator: " ")
        }
    }

    private func removeRunningParts() {
        switch name {
        case "memory":
            first("address")?.set("base", nil)
            first("target")?.remove { ["current", "address"].contains($0.name) }
        case "channel":
            first("target")?.set("state", nil)
            if value("type") == "pty" { remove { $0.name == "source" } }
        case "vsock":
            if let cid = first("cid"), cid.value("auto") == "yes" { cid.set("address", nil) }
        case "hostdev":
            // The number on the host's bus changes when the device is plugged in again.
            if let source = first("source"), source.first("vendor") != nil { source.remove { $0.name == "address" } }
        default: break
        }
    }
}
