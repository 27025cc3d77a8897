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
        #expect(try [nodes.reopening(volume: index, ["discard": .string(recording.disk.discard ?? "ignore")])] == recording.sent)
    }

    @Test func zeroesAreUnmappedInTheCopyAlone() throws {
        let recording = try #require(Recording.of("zeroes of a copy").first)
        let index = try #require(recording.disk.mirrorIndex)
        #expect(index != recording.disk.index)
        let nodes = try #require(recording.nodes)
        #expect(try [nodes.reopening(volume: index, ["discard": "unmap", "detect-zeroes": "unmap"])] == recording.sent)
        let windowed = try nodes.reopening(volume: index, ["offset": 0, "size": 4096])
        #expect(windowed.arguments?["options"]?.arrayValue?.first?["size"] == 4096)
        #expect((nodes.bytes(ofVolume: index) ?? 0) > 0)
        #expect(nodes.bytes(ofVolume: "99") == nil)
    }

    @Test func aVolumeWithoutARawNodeIsUnsupported() throws {
        let error = #expect(throws: HypervisorError.self) { try BlockNodes([]).reopening(volume: "3", [:]) }
        #expect(error?.code == .unsupported)
        let qcow2 = BlockNodes([["node-name": "libvirt-3-storage"], ["node-name": "libvirt-3-format", "drv": "qcow2"]])
        #expect(throws: HypervisorError.self) { try qcow2.reopening(volume: "3", [:]) }
    }
}
