import CLibvirt

/// A flag that not every libvirt knows.
package enum LibvirtFlag: Sendable, Hashable, CaseIterable {
    /// `VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB`
    case copyTransientJob
    /// `VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES`
    case copySynchronousWrites
    /// `VIR_DOMAIN_UNDEFINE_KEEP_TPM`
    case undefineKeepTPM

    var bit: UInt32 {
        switch self {
        case .copyTransientJob: VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB.rawValue
        case .copySynchronousWrites: VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES.rawValue
        case .undefineKeepTPM: VIR_DOMAIN_UNDEFINE_KEEP_TPM.rawValue
        }
    }

    /// A flag that no libvirt knows: a call with it is refused whatever else it says.
    static let unknownBit: UInt32 = 1 << 31

    /// Which of the flags of a refused call libvirt knows.
    ///
    /// libvirt lists those that it does not know: "unsupported flags (0x80000040) in function qemuDomainUndefineFlags". The text
    /// around the number may be in another language.
    ///
    /// - Returns: Empty if the call was refused for another reason.
    static func known(_ flags: [LibvirtFlag], from error: LibvirtError) -> [LibvirtFlag: Bool] {
        guard error.isInvalidArgument, let match = error.message.firstMatch(of: /0x([0-9a-f]+)/),
            let refused = UInt32(match.1, radix: 16), refused & unknownBit != 0
        else { return [:] }
        return flags.reduce(into: [:]) { known, flag in known[flag] = refused & flag.bit == 0 }
    }
}
