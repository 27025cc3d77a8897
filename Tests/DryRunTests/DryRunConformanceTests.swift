import Foundation
import HypervisorConformance
import Testing

@testable import DryRun
@testable import VolumeSwap

@Suite struct DryRunConformanceTests {
    @Test(arguments: HypervisorCheck.allCases, ["", "&rate=100000"])
    func conforms(check: HypervisorCheck, rate: String) async throws {
        let domain = DomainIdentity(uuid: UUID().uuidString.lowercased(), name: "conforming")
        let list = NSTemporaryDirectory() + "pivotd-conformance-\(domain.uuid).json"
        defer { try? FileManager.default.removeItem(atPath: list) }
        let disk = #"{"target": "vdb", "path": "/dev/disk/by-id/old"}"#
        let entry = #"[{"uuid": "\#(domain.uuid)", "name": "\#(domain.name)", "disks": [\#(disk)]}]"#
        try Data(entry.utf8).write(to: URL(fileURLWithPath: list))
        let hypervisor = try DryRunHypervisor(options: DryRunOptions(uri: "dry-run:?domains=\(list)\(rate)"))
        try await check.run(
            on: .init(
                hypervisor, domain: domain, disk: "vdb", old: .block("/dev/disk/by-id/old"),
                copy: BlockCopy(
                    destination: VolumeSource(location: .block("/dev/disk/by-id/new"), format: "raw"), sliceBytes: nil,
                    bandwidth: 0, granularity: 0,
                    bufferSize: 0, synchronousWrites: false),
                rebase: RebaseCopy(path: "/dev/disk/by-id/new", bandwidth: 0, isBlockDevice: true, isRaw: true)))
    }
}
