import JSON
import Testing

@testable import pivotd

@Suite struct StatusQueryTests {
    @Test(
        arguments: [
            ("7f0c4a5e-3a39-4b8a-9f0e-2b6d0d0c7a11", "7f0c4a5e-3a39-4b8a-9f0e-2b6d0d0c7a11"),
            ("instance-0000002a", ["name": "instance-0000002a"]),
        ] as [(String, JSONValue)])
    func anInstanceIsNamedByItsUUIDOrItsName(instance: String, reference: JSONValue) {
        let query = StatusQuery(instance: instance, disk: "vdb", limit: 5, isInOrderOfArrival: true)
        #expect(query.selector == ["instance": reference, "mountpoint": "vdb"])
        #expect(query.filter(["copying"], 5) == ["limit": 5, "instance": reference, "states": ["copying"]])
    }
}
