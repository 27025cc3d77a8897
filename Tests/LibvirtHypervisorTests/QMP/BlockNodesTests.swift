import JSON
import Testing
import VolumeSwap

@testable import LibvirtHypervisor

@Suite struct BlockNodesTests {
    @Test(arguments: ["window in the format node", "window in a node of its own"])
    func aWindowIsDroppedFromTheNodeThatHasIt(scene: String) throws {
        let recording = try #require(Recording.of(scene).first)
        #expect(recording.disk.hasSlice)
        let index = try #require(recording.disk.index)
        let nodes = try #require(recording.nodes)
        #expect(try [nodes.reopening(volume: index, recording.disk.zeroHandling, aio: nil)] == recording.sent)
    }

    @Test func zeroesAreUnmappedInTheCopyAlone() throws {
        let recording = try #require(Recording.of("zeroes of a copy").first)
        let index = try #require(recording.disk.mirrorIndex)
        #expect(index != recording.disk.index)
        let nodes = try #require(recording.nodes)
        #expect(try [nodes.reopening(volume: index, ["discard": "unmap", "detect-zeroes": "unmap"], aio: nil)] == recording.sent)
        let windowed = try nodes.reopening(volume: index, ["offset": 0, "size": 4096], aio: nil)
        #expect(windowed.arguments?["options"]?.arrayValue?.first?["size"] == 4096)
        #expect((nodes.bytes(ofVolume: index) ?? 0) > 0)
        #expect(nodes.bytes(ofVolume: "99") == nil)
    }

    @Test func aVolumeWithoutARawNodeIsUnsupported() throws {
        let error = #expect(throws: HypervisorError.self) { try BlockNodes([]).reopening(volume: "3", [:], aio: nil) }
        #expect(error?.code == .unsupported)
        let qcow2 = BlockNodes([["node-name": "libvirt-3-storage"], ["node-name": "libvirt-3-format", "drv": "qcow2"]])
        #expect(throws: HypervisorError.self) { try qcow2.reopening(volume: "3", [:], aio: nil) }
    }

    /// As libvirt 11.3 and QEMU 10.0 show them, which take exactly these options.
    @Test func aWholeVolumeWithoutARawNodeIsReopenedItself() throws {
        let nodes = BlockNodes([
            [
                "node-name": "libvirt-3-storage", "drv": "file", "ro": false, "detect_zeroes": "off",
                "cache": ["direct": true, "no-flush": false, "writeback": true],
                "image": ["filename": "/volumes/v2.img", "virtual-size": 4096],
            ],
            ["node-name": "libvirt-4-storage", "drv": "rbd", "image": ["filename": "json:{}"]],
        ])
        let command = try nodes.reopening(volume: "3", ["discard": "unmap", "detect-zeroes": "unmap"], aio: "native")
        #expect(
            command
                == QMPCommand(
                    "blockdev-reopen",
                    [
                        "options": [
                            [
                                "driver": "file", "node-name": "libvirt-3-storage", "filename": "/volumes/v2.img",
                                "read-only": false,
                                "cache": ["direct": true, "no-flush": false], "detect-zeroes": "unmap", "aio": "native",
                                "discard": "unmap",
                            ]
                        ]
                    ]))
        #expect(throws: HypervisorError.self) { try nodes.reopening(volume: "4", [:], aio: nil) }
        #expect(throws: HypervisorError.self) { try nodes.reopening(volume: "3", ["size": 512], aio: nil) }
    }

    @Test func theTopmostNodeIsTheOneThatIsOpen() {
        let nodes = BlockNodes([
            ["node-name": "libvirt-1-storage"], ["node-name": "libvirt-2-storage"], ["node-name": "libvirt-2-format"],
            ["node-name": "libvirt-4-storage"], ["node-name": "libvirt-4-slice-sto"],
            ["node-name": "libvirt-5-storage"], ["node-name": "libvirt-5-format", "drv": "raw"],
        ])
        #expect(nodes.top(ofVolume: "1", as: "libvirt-4-slice-sto") == "libvirt-1-storage")
        #expect(nodes.top(ofVolume: "2", as: "libvirt-1-storage") == "libvirt-2-format")
        #expect(nodes.top(ofVolume: "4", as: "libvirt-1-storage") == "libvirt-4-slice-sto")
        #expect(nodes.top(ofVolume: "1", as: "libvirt-5-format") == "libvirt-1-format")
        #expect(nodes.top(ofVolume: "9", as: "libvirt-2-format") == "libvirt-9-format")
        #expect(nodes.top(ofVolume: "9", as: "libvirt-4-slice-sto") == "libvirt-9-storage")
    }
}
