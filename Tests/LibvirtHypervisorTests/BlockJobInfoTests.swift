import Testing
import VolumeSwap

@testable import Libvirt
@testable import LibvirtHypervisor

@Suite("A block job as libvirt reports it")
struct BlockJobInfoTests {
    static func info(_ cursor: UInt64, _ end: UInt64) -> VolumeSwap.BlockJobInfo {
        VolumeSwap.BlockJobInfo(Libvirt.BlockJobInfo(type: .copy, bandwidth: 7, cursor: cursor, end: end))
    }

    @Test("0 of 1 is a job that QEMU has not measured yet, and not one with a byte left")
    func unmeasured() {
        #expect(Self.info(0, 1).end == 0 && Self.info(0, 1).remaining == 0)
        #expect(Self.info(1, 1).end == 1)
        #expect(Self.info(0, 512).remaining == 512)
        #expect(Self.info(3, 512) == .init(type: "copy", cursor: 3, end: 512, bandwidth: 7))
    }
}
