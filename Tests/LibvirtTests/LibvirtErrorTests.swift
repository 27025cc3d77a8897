import Testing

@testable import Libvirt

struct LibvirtErrorTests {
    @Test(
        arguments: [
            (42, "NO_DOMAIN"), (55, "OPERATION_INVALID"), (66, "NO_SECRET"), (83, "BLOCK_COPY_ACTIVE"), (110, "MULTIPLE_DOMAINS"),
            (41, "41"), (9999, "9999"), (-1, "-1"),
        ] as [(Int32, String)]) func namesCodes(code: Int32, name: String)
    {
        #expect(LibvirtError(code: code, domain: 0, message: "").codeName == name)
    }

    @Test func tellsALostConnectionFromARemoteFailure() {
        #expect(LibvirtError(code: 38, domain: 7, message: "Cannot recv data").isConnectionLost)
        #expect(LibvirtError(code: 1, domain: 7, message: "client socket is closed").isConnectionLost)
        #expect(LibvirtError(code: 39, domain: 13, message: "").isConnectionLost)
        #expect(!LibvirtError(code: 38, domain: 10, message: "cannot open file").isConnectionLost)
        #expect(!LibvirtError(code: 1, domain: 10, message: "unable to execute QEMU command").isConnectionLost)
        #expect(!LibvirtError(code: 42, domain: 10, message: "").isConnectionLost)
    }

    @Test func describesMessageAndCode() {
        let error = LibvirtError(code: 55, domain: 10, message: "domain is not running")
        #expect("\(error)" == "domain is not running (OPERATION_INVALID, domain 10)")
        #expect(error.isOperationInvalid)
        #expect(!error.isBlockCopyActive)
    }

    @Test func mapsCodesItDoesNotKnow() {
        #expect(BlockJobType(code: 2) == .copy)
        #expect(BlockJobType(code: 77) == .foreign)
        #expect(BlockJobStatus(code: 3) == .ready)
        #expect(BlockJobStatus(code: 77) == .other(77))
        #expect(LifecycleEvent(code: 77) == .other(77))
        #expect(CloseReason(code: 1) == .endOfFile)
        #expect(CloseReason(code: 77) == .other(77))
    }
}
