/// Compares the sizes of the old volume, the new one and `resize_to`.
enum SizeCheck {
    /// Sets what the swap does about the sizes: ``SwapPlanFacts/resizeToBytes`` and ``SwapPlanFacts/usesSlice``.
    ///
    /// - Parameters:
    ///   - moved: the disk if it is on the new volume already: the request may repeat one that was carried out in part.
    ///   - copy: the copy to the new volume if it runs already.
    /// - Throws: ``SwapFailure`` of kind `invalidInput` or `invalidVolume`.
    static func apply(
        to plan: inout SwapPlan, moved: DiskDescription? = nil, copy: DiskFacts.Mirror? = nil
    ) throws(SwapFailure) {
        if let target = plan.resizeToBytes, target < plan.oldBytes {
            guard moved != nil else {
                throw .invalidInput(
                    "resize_to: \(target) bytes is less than the disk's current \(plan.oldBytes) bytes; a disk cannot shrink")
            }
            plan.resizeToBytes = nil
            plan.warnings.append("resize_to: the disk has moved already, and has \(plan.oldBytes) bytes: more than \(target)")
        }
        // A disk with a window may not have its volume's size yet.
        if plan.resizeToBytes == plan.oldBytes, moved?.hasSlices != true { plan.resizeToBytes = nil }
        if plan.resizeToBytes != nil, plan.isSealed || plan.destination.format != "raw" {
            let kind =
                plan.isSealed ? "an encrypted volume whose LUKS header cannot be read" : "a \(plan.destination.format) volume"
            throw .invalidVolume(
                """
                resize_to: \(kind) cannot be grown while it is moved, and must leave the guest exactly the old volume's \(plan.oldBytes) \
                bytes. Move to one that does with resize_to 0, and extend it afterwards
                """, .notSupported)
        }
        guard let size = plan.newBytes else {
            // Only QEMU knows this volume's size, but growing requires a larger one, and an earlier attempt may have found that it is.
            plan.usesSlice = plan.resizeToBytes != nil || moved?.hasSlices == true || copy?.hasSlices == true
            return
        }
        guard size >= plan.oldBytes else {
            throw .invalidVolume(
                "the new volume \(plan.destination.location) has \(size) bytes, the old one \(plan.oldBytes): too small",
                .newVolumeTooSmall)
        }
        if let target = plan.resizeToBytes, target > size {
            // On an encrypted volume the guest gets what the header leaves, as with nova's extend_volume.
            guard let header = plan.headerBytes, target <= size + header else {
                throw .invalidVolume(
                    "the new volume \(plan.destination.location) has \(size) bytes, resize_to asks for \(target)",
                    .newVolumeTooSmall)
            }
            plan.resizeToBytes = size > plan.oldBytes ? size : nil
        }
        plan.usesSlice = size > plan.oldBytes
    }
}
