import CLibvirt
import Foundation

/// Copies and frees a string that libvirt allocated.
///
/// - Throws: The calling thread's last error if the pointer is null.
@safe func takeString(_ pointer: UnsafeMutablePointer<CChar>?) throws(LibvirtError) -> String {
    guard let pointer = unsafe pointer else { throw LibvirtError.last() }
    defer { unsafe free(pointer) }
    return unsafe String(cString: pointer)
}

/// Reads a UUID as a string with one of libvirt's `…GetUUIDString` functions.
@safe func uuidText(_ read: (UnsafeMutablePointer<CChar>) -> Int32) -> String? {
    let buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Int(VIR_UUID_STRING_BUFLEN))
    defer { unsafe buffer.deallocate() }
    guard let address = buffer.baseAddress, unsafe read(address) == 0 else { return nil }
    return unsafe String(cString: address)
}

/// A C pointer on its way to the thread that frees it.
@safe struct Released: @unchecked Sendable {
    let pointer: OpaquePointer
}
