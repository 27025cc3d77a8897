import Testing

@testable import LibvirtHypervisor

@Suite("World wide identifiers")
struct WWIDTests {
    @Test(
        "Unique identifiers in sysfs, in one spelling",
        arguments: [
            // LIO, a SAS disk, VMware; the third as a SCSI name string.
            ("naa.60014051ba4a3c5f3c94f0d8c5a8d3a1", "naa.60014051ba4a3c5f3c94f0d8c5a8d3a1"),
            ("naa.5000c500a1b2c3d7\n", "naa.5000c500a1b2c3d7"),
            ("naa.6000C29F3C6D5E8A4B1C2D3E4F5A6B7C\0\0\0\0", "naa.6000c29f3c6d5e8a4b1c2d3e4f5a6b7c"),
            // EUI-64 and NVMe's NGUID, with the company in its second half.
            ("eui.0025385b01404a8f", "eui.0025385b01404a8f"),
            ("eui.0017380000cb0a1b00000001", "eui.0017380000cb0a1b00000001"),
            ("eui.01000000010000005cd2e4b9e6d45051", "eui.01000000010000005cd2e4b9e6d45051"),
            ("uuid.F1A3CB5E-5C3E-4B8A-9D0C-3B0F4D1D2A6E", "uuid.f1a3cb5e-5c3e-4b8a-9d0c-3b0f4d1d2a6e"),
            // Amazon EBS: vol0123abcd.
            (
                "nvme.1d0f-766f6c3031323361626364-416d617a6f6e-00000001",
                "nvme.1d0f-766f6c3031323361626364-416d617a6f6e-00000001"
            ),
        ])
    func unique(text: String, name: String) {
        #expect(WWID(sysfs: text)?.name == name)
    }

    @Test(
        "Identifiers that different volumes may have in common",
        arguments: [
            "", "\0", "naa", "naa.", "eui.", "uuid.", "nvme.", "nvme.---",
            "t10.ATA     QEMU HARDDISK                           QM00001",
            "t10.IET     00010001", "0QEMU    QEMU HARDDISK   drive-scsi0", "iqn.2003-01.org.linux-iscsi:a,L,0x0",
            // Without a company: tgt and a USB bridge.
            "naa.60000000000000000e00000000010001", "naa.5000000000000000",
            // Locally assigned: tgt; of a device's name: SPDK.
            "naa.3000000100000001", "naa.2a4e0003471c0e2d",
            "naa.60014050000000000000000000000000", "naa.6001405", "naa.5000c500a1b2c3d7a1b2c3d7", "naa.5000c500a1b2c3dz",
            "eui.0000000000000000", "eui.ffffffffffffffff", "eui.00000000000000000000000000000001", "eui.0025385b0140",
            "uuid.00000000-0000-0000-0000-000000000000", "uuid.f1a3cb5e-5c3e-4b8a-9d0c",
            "nvme.1b36--51454d55204e564d65204374726c-00000001", "nvme.1b36-3030302020-51454d55-00000001", "nvme.1b36-616263",
        ])
    func notUnique(text: String) {
        #expect(WWID(sysfs: text) == nil)
    }

    @Test(
        "A multipath device has its paths' identifier",
        arguments: [
            ("mpath-360014051ba4a3c5f3c94f0d8c5a8d3a1", "naa.60014051ba4a3c5f3c94f0d8c5a8d3a1"),
            ("mpath-35000c500a1b2c3d7", "naa.5000c500a1b2c3d7"),
            ("mpath-20017380000cb0a1b", "eui.0017380000cb0a1b"),
            (
                "mpath-uuid.f1a3cb5e-5c3e-4b8a-9d0c-3b0f4d1d2a6e",
                "uuid.f1a3cb5e-5c3e-4b8a-9d0c-3b0f4d1d2a6e"
            ),
            ("mpath-eui.01000000010000005cd2e4b9e6d45051", "eui.01000000010000005cd2e4b9e6d45051"),
            ("mpath-360000000000000000e00000000010001", nil), ("mpath-33000000100000001", nil),
            ("mpath-1IET_00010001", nil), ("mpath-SQEMU_QEMU_HARDDISK_1", nil), ("mpath-0QEMU_QEMU_HARDDISK_drive-scsi0", nil),
            ("mpath-60014051ba4a3c5f3c94f0d8c5a8d3a1", nil), ("mpath-3600", nil), ("mpath-", nil),
            ("part1-mpath-360014051ba4a3c5f3c94f0d8c5a8d3a1", nil), ("LVM-abc", nil),
            ("CRYPT-LUKS2-f1a3cb5e5c3e4b8a9d0c3b0f4d1d2a6e-x", nil),
        ] as [(String, String?)])
    func multipath(uuid: String, name: String?) {
        #expect(WWID(multipath: uuid)?.name == name)
    }
}
