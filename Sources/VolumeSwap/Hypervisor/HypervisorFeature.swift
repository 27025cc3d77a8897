/// Something that only newer versions of libvirt or QEMU can do, and what pivotd does without it.
package enum HypervisorFeature: String, Sendable, Hashable, CaseIterable {
    /// `VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB`
    case transientJob = "transient_job"
    /// `VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES`
    case synchronousWrites = "synchronous_writes"
    /// `VIR_DOMAIN_UNDEFINE_KEEP_TPM`
    case keepTPM = "keep_tpm"
    /// `virDomainBlockResize` removes the `<slices>` of a raw volume from the live configuration; nothing else does.
    case resizeDropsSlices = "resize_drops_slices"
    /// QEMU's `blockdev-reopen`
    case blockdevReopen = "blockdev_reopen"
    /// QEMU's `block-job-change`
    case blockJobChange = "block_job_change"
    /// Copies whose guest's writes go to both volumes, which do not abort QEMU.
    case writeBlocking = "write_blocking"
    /// The argument `target-is-zero` of QEMU's `blockdev-mirror`
    case targetIsZero = "target_is_zero"

    /// Which of the two programs has it.
    package enum Program: String, Sendable, Hashable {
        case libvirt
        case qemu = "QEMU"
    }

    package var program: Program {
        switch self {
        case .transientJob, .synchronousWrites, .keepTPM, .resizeDropsSlices: .libvirt
        case .blockdevReopen, .blockJobChange, .writeBlocking, .targetIsZero: .qemu
        }
    }

    /// The first version of the program that has it, as 1,000,000 × major + 1,000 × minor + release.
    package var since: UInt {
        switch self {
        case .transientJob: 3_005_000
        case .synchronousWrites: 8_000_000
        case .keepTPM: 8_009_000
        case .resizeDropsSlices: 10_000_000
        case .blockdevReopen: 7_000_000
        case .blockJobChange: 8_002_000
        case .writeBlocking: 3_000_000
        case .targetIsZero: 10_001_000
        }
    }

    /// Versions of QEMU that abort, and the guest with them, at its WRITE ZEROES of less than a granule during a write-blocking copy:
    /// from commit 7e277545b9 until commit 4a7b1bd18d.
    private static let abortingQEMU: Range<UInt> = 10_001_000..<11_000_000

    /// Whether this version of the program has it.
    package func isIn(_ version: UInt) -> Bool {
        version >= since && !(self == .writeBlocking && Self.abortingQEMU.contains(version))
    }

    /// Its name in libvirt or QEMU.
    package var title: String {
        switch self {
        case .transientJob: "TRANSIENT_JOB"
        case .synchronousWrites: "SYNCHRONOUS_WRITES"
        case .keepTPM: "KEEP_TPM"
        case .resizeDropsSlices: "resize drops slices"
        case .blockdevReopen: "blockdev-reopen"
        case .blockJobChange: "block-job-change"
        case .writeBlocking: "write-blocking"
        case .targetIsZero: "target-is-zero"
        }
    }

    /// What pivotd does without it, in at most 40 characters.
    package var without: String {
        switch self {
        case .transientJob: "no copy works, only rebase"
        case .synchronousWrites: "swaps with synchronous_writes fail"
        case .keepTPM: "no rebase of a domain with a vTPM"
        case .resizeDropsSlices: "grown disks need hook pivotd-slices, too"
        case .blockdevReopen: "no resize_to, no detect_zeroes"
        case .blockJobChange: "a copy is begun again to converge"
        case .writeBlocking: "no convergence, no synchronous_writes"
        case .targetIsZero: "nothing changes: pivotd never uses it"
        }
    }
}
