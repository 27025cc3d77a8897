/// A refusal or failure of the hypervisor, in its own words.
package struct HypervisorError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        /// VIR_ERR_NO_DOMAIN
        case noDomain
        /// VIR_ERR_OPERATION_INVALID: among others, the domain is not running.
        case operationInvalid
        /// VIR_ERR_BLOCK_COPY_ACTIVE (83): the copy is not ready for a pivot.
        case notReady
        /// VIR_ERR_NO_SECRET
        case noSecret
        /// VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_OPERATION_UNSUPPORTED, VIR_ERR_NO_SUPPORT
        case unsupported
        /// The connection to libvirt was lost; the call may or may not have been carried out.
        case connectionLost
        /// VIR_ERR_OPERATION_TIMEOUT (68), "cannot acquire state change lock": another call on the domain hangs. So is a call that was
        /// given up, or not made, since the domain does not answer. It says nothing about the disk or its job: ask again later.
        case busy
        /// VIR_ERR_OPERATION_INVALID with "block job … is still being ended": a cancel or a pivot is under way.
        case stillEnding
        case other
    }

    package var code: Code
    /// libvirt's virErrorNumber, 0 where the error is not libvirt's.
    package var number: Int
    package var message: String

    package init(_ code: Code, number: Int = 0, _ message: String) {
        self.code = code
        self.number = number
        self.message = message
    }

    /// True when the call said nothing about the domain: it is to be made again.
    package var isPassing: Bool { code == .connectionLost || code == .busy }

    package var description: String { number == 0 ? message : "\(message) (libvirt error \(number))" }
}
