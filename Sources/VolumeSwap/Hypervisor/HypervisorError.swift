/// A refusal or failure reported by the hypervisor, in its own words.
package struct HypervisorError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What pivotd distinguishes among libvirt's error numbers.
    package enum Code: String, Sendable, Hashable {
        /// `VIR_ERR_NO_DOMAIN`
        case noDomain
        /// `VIR_ERR_OPERATION_INVALID`; for example, the domain is not running.
        case operationInvalid
        /// `VIR_ERR_BLOCK_COPY_ACTIVE` (83): the copy is not ready for a pivot.
        case notReady
        /// `VIR_ERR_NO_SECRET`
        case noSecret
        /// `VIR_ERR_CONFIG_UNSUPPORTED`, `VIR_ERR_OPERATION_UNSUPPORTED` or `VIR_ERR_NO_SUPPORT`
        case unsupported
        /// The connection to libvirt was lost; the call may or may not have been carried out.
        case connectionLost
        /// The domain does not answer: `VIR_ERR_OPERATION_TIMEOUT` (68, "cannot acquire state change lock"), or pivotd gave up
        /// on a call or skipped it. This reveals nothing about the disk or its job; retry later.
        case busy
        /// `VIR_ERR_OPERATION_INVALID` with "block job … is still being ended": a cancel or pivot is under way.
        case stillEnding
        /// pivotd may not read a path that QEMU perhaps may.
        case denied
        /// Any other error.
        case other
    }

    /// The kind of error.
    package var code: Code
    /// libvirt's `virErrorNumber`; 0 if the error did not come from libvirt.
    package var number: Int
    /// libvirt's or pivotd's text, for an operator.
    package var message: String

    package init(_ code: Code, number: Int = 0, _ message: String) {
        self.code = code
        self.number = number
        self.message = message
    }

    /// Whether the error is transient and reveals nothing about the domain, so that the call should be repeated.
    package var isPassing: Bool { code == .connectionLost || code == .busy }

    /// Whether the domain may just have stopped: libvirt's OPERATION_INVALID ("domain is not running") and NO_DOMAIN.
    var mayShowStop: Bool { code == .operationInvalid || code == .noDomain }

    /// Whether the error may be about what was asked, and not about the host, such as its full disk, or the caller's rights: libvirt's
    /// NO_MEMORY, OPERATION_FAILED, OPERATION_DENIED, SYSTEM_ERROR, AUTH_FAILED, OPERATION_TIMEOUT and ACCESS_DENIED.
    var mayBeOfContent: Bool { !isPassing && ![2, 9, 29, 38, 45, 68, 88].contains(number) }

    package var description: String { number == 0 ? message : "\(message) (libvirt error \(number))" }
}
