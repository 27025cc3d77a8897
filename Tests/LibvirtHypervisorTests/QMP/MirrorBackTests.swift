import JSON
import Testing
import VolumeSwap

@testable import LibvirtHypervisor

@Suite struct MirrorBackTests {
    private func sights(_ scene: String) throws -> [(sight: MirrorBack.Sight, sent: [QMPCommand])] {
        var nodes = BlockNodes([])
        return try Recording.of(scene).map { recording in
            nodes = recording.nodes ?? nodes
            let sight = MirrorBack.Sight(
                disk: recording.disk, devices: recording.devices, jobs: recording.jobs, nodes: nodes)
            return (sight, recording.sent)
        }
    }

    @Test(arguments: ["old volume still open", "old volume closed by libvirt"])
    func itSendsWhatMendedIt(scene: String) throws {
        let sights = try sights(scene)
        var machine = MirrorBack(disk: "vdb")
        #expect(sights.count > 3)
        for (sight, sent) in sights.dropLast() { #expect(try machine.next(sight) == .send(sent)) }
        let (last, closing) = try #require(sights.last)
        #expect(try machine.next(last) == .agree(closing))
        #expect(closing.map(\.name) == ["blockdev-del", "blockdev-del"])
    }

    @Test func theJobHasLibvirtsName() throws {
        let (sight, _) = try #require(sights("old volume still open").first)
        var machine = MirrorBack(disk: "vdb")
        _ = try machine.next(sight)
        #expect(machine.job == "copy-vdb-libvirt-4-format")
    }

    @Test func aMirrorThatFailsIsDismissedAndReported() throws {
        var (sight, _) = try #require(sights("old volume still open").first)
        sight.jobs = [["id": "copy-vdb-libvirt-4-format", "status": "concluded", "error": "No space left on device"]]
        var machine = MirrorBack(disk: "vdb")
        let error = HypervisorError(.other, "mirroring back failed: No space left on device")
        #expect(
            try machine.next(sight) == .fail(QMPCommand("job-dismiss", ["id": "copy-vdb-libvirt-4-format"]), error))
    }

    @Test func aMirrorUnderWayIsWaitedFor() throws {
        var (sight, _) = try #require(sights("old volume still open").first)
        sight.jobs = [["id": "copy-vdb-libvirt-4-format", "status": "running"]]
        var machine = MirrorBack(disk: "vdb")
        #expect(try machine.next(sight) == .send([]))
    }

    @Test func wherePivotAndDescriptionAgreeNothingIsDone() throws {
        var (sight, _) = try #require(sights("old volume still open").last)
        sight.jobs = []
        var machine = MirrorBack(disk: "vdb")
        #expect(try machine.next(sight) == .agree([]))
    }

    @Test func aDiskThatQEMUDoesNotShowIsAnError() throws {
        var (sight, _) = try #require(sights("old volume still open").first)
        sight.devices = []
        var machine = MirrorBack(disk: "vdb")
        let error = #expect(throws: HypervisorError.self) { try machine.next(sight) }
        #expect(error?.message == "QEMU does not report the node of disk vdb")
    }

    /// As QEMU shows a disk with `copy_on_read='on'`, whose topmost node is libvirt's filter.
    @Test(arguments: ["4", "5"])
    func theNodeBelowAFilterIsFound(index: String) throws {
        let (sight, _) = try #require(sights("old volume still open").first)
        let devices: JSONValue = [
            ["qdev": "/machine/peripheral/virtio-disk1/virtio-backend", "inserted": ["node-name": "libvirt-CoR-vdb"]]
        ]
        let graph = BlockGraph([
            "nodes": [
                ["id": 1, "type": "block-backend", "name": "libvirt-CoR-vdb"],
                ["id": 2, "type": "block-driver", "name": .string("libvirt-\(index)-storage")],
                ["id": 3, "type": "block-driver", "name": .string("libvirt-\(index)-format")],
                ["id": 4, "type": "block-driver", "name": "libvirt-9-filter"],
                ["id": 5, "type": "block-driver", "name": "libvirt-CoR-vdb"],
                ["id": 6, "type": "block-driver", "name": "libvirt-7-format"],
            ],
            "edges": [
                ["parent": 1, "child": 5, "name": "root"], ["parent": 5, "child": 4, "name": "file"],
                ["parent": 4, "child": 3, "name": "file"], ["parent": 3, "child": 2, "name": "file"],
                ["parent": 3, "child": 6, "name": "backing"],
            ],
        ])
        let found = try #require(RunningNode(sight.disk, devices: devices, graph: graph))
        #expect(found.node == "libvirt-\(index)-format" && found.isDescribed == (index == "4"))
        #expect(RunningNode(sight.disk, devices: devices) == nil)
        #expect(RunningNode(sight.disk, devices: devices, graph: BlockGraph(["nodes": [], "edges": []])) == nil)
    }

    @Test func onlyRawFilesAndBlockDevicesAreOpenedAgain() throws {
        var (sight, _) = try #require(sights("old volume closed by libvirt").first)
        sight.disk = LiveDisk(
            "vdb",
            in: """
                <domain><devices><disk type='network' device='disk'><driver type='raw'/><source protocol='rbd' name='p/i' index='8'/>
                <target dev='vdb'/><alias name='virtio-disk1'/></disk></devices></domain>
                """)
        var machine = MirrorBack(disk: "vdb")
        #expect(#expect(throws: HypervisorError.self) { try machine.next(sight) }?.code == .unsupported)
    }
}
