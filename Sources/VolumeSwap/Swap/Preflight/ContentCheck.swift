import Basics

/// Checks what a new volume holds before plain data is written over it, or an image is written to.
struct ContentCheck {
    let hypervisor: any Hypervisor
    let request: SwapRequest

    /// - Parameter disk: the one to move.
    /// - Returns: warnings about what could not be read.
    /// - Throws: ``SwapFailure`` of kind `invalidVolume`; ``HypervisorError`` for transient trouble.
    func check(_ plan: SwapPlan, _ disk: DiskDescription) async throws -> [String] {
        try await checkHeader(plan, disk) + checkBacking(plan)
    }

    /// Refuses to write plain data over a LUKS volume that is not declared as encrypted.
    ///
    /// A guest may use LUKS on its own disk; then an earlier attempt has copied that header, and the old volume has it too. Where that
    /// cannot be compared, `encrypted: false` decides if it is stated.
    ///
    /// - Returns: a warning if pivotd may not read the new volume.
    private func checkHeader(_ plan: SwapPlan, _ disk: DiskDescription) async throws -> [String] {
        guard let path = plan.destination.location.path else { return [] }
        let header: String?
        do throws(HypervisorError) {
            header = try await hypervisor.luksUUID(path: path)
        } catch {
            if error.isPassing { throw error }
            guard error.code == .denied else {
                throw SwapFailure.invalidVolume("the new volume \(path) cannot be examined: \(error)", .ioError)
            }
            return ["\(error): the new volume was not checked for a LUKS header"]
        }
        guard plan.destination.encryption == nil, let header else { return [] }
        var remedy = "Say true, or wipe the header"
        if let own = try await ownHeader(plan, disk) {
            if !header.isEmpty, own == header { return [] }
        } else {
            if request.newConnection.saysEncrypted { return [] }
            remedy += "; or say false if it is the guest's own, copied by an earlier attempt"
        }
        throw SwapFailure.invalidVolume(
            """
            the new volume \(path) begins with a LUKS header, but new_connection_info.data.encrypted is not true: plain data would be \
            written over it. \(remedy)
            """)
    }

    /// Refuses a new image over another: the copy may leave its zeroes out, and QEMU shows the other's bytes there after the next start.
    ///
    /// - Returns: a warning if its header cannot be read.
    private func checkBacking(_ plan: SwapPlan) async throws(SwapFailure) -> [String] {
        guard plan.destination.format == "qcow2", let path = plan.destination.location.path else { return [] }
        let trouble: String
        switch await hypervisor.backingFile(of: path) {
        case .nothing: return []
        case .found(let file):
            throw .invalidVolume(
                """
                the new volume \(path) is a qcow2 image over \(file.name.cut(to: 256)), whose bytes its guest would read where the copy has \
                zeroes. Create the image without a backing file
                """)
        case .failed(let reason): trouble = reason
        case .noAnswer: trouble = "\(path) does not answer"
        }
        return ["\(trouble): the new volume was not checked for a backing file"]
    }

    /// The UUID in the header that the guest itself has on the old volume, empty if it has none; nil if it cannot be seen.
    private func ownHeader(_ plan: SwapPlan, _ disk: DiskDescription) async throws(HypervisorError) -> String? {
        guard let path = plan.oldLocation.path, disk.format == "raw", !disk.isEncrypted else { return nil }
        do {
            return try await hypervisor.luksUUID(path: path) ?? ""
        } catch {
            guard error.code == .denied else { throw error }
            return nil
        }
    }
}
