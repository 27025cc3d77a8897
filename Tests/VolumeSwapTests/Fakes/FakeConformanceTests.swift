import HypervisorConformance
import JournalConformance
import Testing

@testable import VolumeSwap

@Suite struct FakeConformanceTests {
    @Test(arguments: JournalCheck.allCases)
    func keeps(check: JournalCheck) async throws { try await check.run(on: FakeJournal()) }

    @Test(arguments: HypervisorCheck.allCases)
    func conforms(check: HypervisorCheck) async throws {
        try await check.run(
            on: .init(
                FakeHypervisor(), domain: Fixture.domain, disk: "vdb", old: .file(Fixture.oldPath),
                copy: BlockCopy(
                    destination: VolumeSource(location: .file(Fixture.newPath), format: "raw"), sliceBytes: nil, bandwidth: 0,
                    granularity: 0,
                    bufferSize: 0, synchronousWrites: false),
                rebase: RebaseCopy(path: Fixture.newPath, bandwidth: 0, isBlockDevice: false, isRaw: true)))
    }
}
