import Foundation
import Testing

@testable import VolumeSwap

@Suite("A value behind one reference")
struct SharedTests {
    @Test("A change does not affect copies")
    func values() {
        let one = Fixture.plan()
        var other = one
        other.attempts += 1
        other.warnings.append("w")
        #expect((one.attempts, one.warnings) == (1, []))
        #expect((other.attempts, other.warnings) == (2, ["w"]))
        #expect(one != other)
        other.attempts -= 1
        other.warnings = []
        #expect(one == other)
        #expect(one.hashValue == other.hashValue)
    }

    @Test("It encodes like the value, and prints without its secrets")
    func coding() throws {
        var plan = Fixture.plan()
        plan.savedXML = "<secret-in-xml/>"
        let data = try JSONEncoder().encode(plan)
        #expect(try JSONDecoder().decode(SwapPlanFacts.self, from: data) == plan.facts)
        #expect(try JSONDecoder().decode(SwapPlan.self, from: data) == plan)
        let record = Fixture.record()
        for text in ["\(plan)", String(reflecting: plan), "\(record)", String(reflecting: record), "\([record])"] {
            #expect(!text.contains("secret-in-xml"))
            #expect(!text.contains("connection_info"))
        }
        var dumped = ""
        dump(record, to: &dumped)
        dump(plan, to: &dumped)
        #expect(!dumped.contains("secret-in-xml"))
        #expect(!dumped.contains("connection_info"))
    }
}
