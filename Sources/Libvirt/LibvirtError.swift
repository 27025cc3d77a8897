import CLibvirt

/// An error reported by libvirt, copied out of the calling thread's `virError`.
package struct LibvirtError: Error, Sendable, Hashable, CustomStringConvertible {
    /// `virErrorNumber`, for example 42 (`VIR_ERR_NO_DOMAIN`).
    package let code: Int32
    /// `virErrorDomain`: the part of libvirt that raised it, for example 10 (`VIR_FROM_QEMU`).
    package let domain: Int32
    /// libvirt's own message.
    package let message: String

    package var description: String {
        "\(message) (\(codeName), domain \(domain))"
    }
}

extension LibvirtError {
    /// Copies `virGetLastError()`, which is thread-local: call it on the thread of the failed call, before anything suspends.
    static func last() -> LibvirtError {
        guard let pointer = unsafe virGetLastError() else {
            return LibvirtError(
                code: Int32(VIR_ERR_INTERNAL_ERROR.rawValue), domain: Int32(VIR_FROM_NONE.rawValue),
                message: "libvirt failed without giving a reason")
        }
        let error = unsafe pointer.pointee
        return unsafe LibvirtError(
            code: error.code, domain: error.domain,
            message: error.message.map { unsafe String(cString: $0) } ?? "")
    }
}

/// Returns a libvirt status.
///
/// - Throws: The calling thread's last error if the status is negative.
@discardableResult
func check(_ status: Int32) throws(LibvirtError) -> Int32 {
    guard status >= 0 else { throw LibvirtError.last() }
    return status
}
