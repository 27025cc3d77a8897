import HypervisorConformance
import Testing

@testable import VolumeSwap

@Suite struct FakeConformanceTests {
    @Test(arguments: HypervisorCheck.allCases)
    func conforms(check: HypervisorCheck) async throws {
        try await check.run(
            on: .init(
                FakeHypervisor(), domain: Fixture.domain, disk: "vdb", old: .file(Fixture.oldPath),
                new: VolumeSource(location: .file(Fixture.newPath), format: "raw")))
    }
}
