import JSON
import Testing

@testable import VolumeSwap

@Suite("What a refusal of a destination says")
struct VolumeResolverTests {
    private static func reason(_ bench: Bench, _ new: JSONValue) async -> String {
        let ids: JSONObject = ["new_connection_info": new, "new_volume_id": "new-volume"]
        return await SwapPreflightTests.failure(bench, ids)?.reason ?? "accepted"
    }

    @Test("A forbidden path is the caller's argument")
    func forbidden() async {
        let bench = Bench()
        bench.hypervisor.set("/dev/vda", kind: .block)
        let reason = await Self.reason(bench, Fixture.connection("/dev/vda"))
        #expect(reason.contains("new_connection_info.data.device_path: /dev/vda is not among allowed_paths"))
    }

    @Test("Of a path that the caller did not give, that the connector returned it", arguments: [true, false])
    func fromConnector(exists: Bool) async {
        let bench = Bench(connector: FakeConnector(path: exists ? "/dev/vda" : "/volumes/x", isConfigured: true))
        bench.hypervisor.set("/dev/vda", kind: .block)
        let reason = await Self.reason(bench, ReleaseTests.vendor)
        #expect(!reason.contains("device_path"))
        let words =
            exists
            ? "the connector returned the path /dev/vda, which is not among allowed_paths"
            : "the new volume does not exist on this host at /volumes/x, which the connector returned"
        #expect(reason.contains(words), "\(reason)")
    }

    @Test("A secret is looked for by each id once")
    func missingSecret() async {
        let new = Fixture.connection(Fixture.newPath, ["encrypted": true, "volume_id": "other"], serial: "new-volume")
        #expect(await Self.reason(Bench(), new).hasSuffix("(looked for new-volume, other)"))
    }
}
