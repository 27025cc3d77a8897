import JSON
import OsloMessaging
import Testing

@testable import SwapBus
@testable import VolumeSwap

@Suite("check_swap's result")
struct CheckEncodingTests {
    static let keys = [
        "acceptable", "failure", "strategy", "disk", "old_bytes", "new_bytes", "will_grow", "already_moved", "adoptable",
        "estimate_s", "warnings",
    ]

    static func plan(_ change: (inout SwapPlanFacts) -> Void = { _ in }) -> SwapPlan {
        var options = SwapOptions()
        options.bandwidthMiBs = 3
        var facts = SwapPlanFacts(
            domain: DomainIdentity(uuid: StatusEncodingTests.uuid, name: "vm"), disk: "vdb", strategy: .copy,
            oldLocation: .file("/old"), destination: VolumeSource(location: .file("/new"), format: "raw"), oldBytes: 64 << 20,
            newBytes: 128 << 20, usesSlice: true, wasPersistent: true, isNewConnected: false, options: options, keptElements: [],
            attempts: 1, warnings: ["a warning"])
        change(&facts)
        return SwapPlan(facts)
    }

    static func json(_ input: SwapInput, _ plan: SwapPlan? = nil) -> JSONValue {
        SwapCheck(disk: "vdb", input, .init(plan: plan)) { $0.options.bandwidthMiBs << 20 }.json(NovaFailure())
    }

    @Test("An acceptable swap has its strategy, sizes, estimate and warnings")
    func acceptable() {
        let plan = Self.plan { $0.resizeToBytes = 128 << 20 }
        let json = Self.json(.prepared(plan), plan)
        #expect(json.objectValue.map { Array($0.keys) } == Self.keys)
        #expect(
            json == [
                "acceptable": true, "failure": nil, "strategy": "copy", "disk": "vdb", "old_bytes": .integer(64 << 20),
                "new_bytes": .integer(128 << 20), "will_grow": true, "already_moved": false, "adoptable": false,
                "estimate_s": .real(21.3), "warnings": ["a warning"],
            ])
    }

    @Test("A refusal is shown as in a status, with the sizes that were seen")
    func refused() {
        var refusal = SwapFailure.invalidVolume("too small", .newVolumeTooSmall)
        refusal.inUse = .old
        let json = Self.json(.failed(refusal), Self.plan())
        #expect(json.objectValue.map { Array($0.keys) } == Self.keys)
        #expect(json["acceptable"] == false && json["strategy"] == .null && json["estimate_s"] == .null)
        #expect(json["old_bytes"] == .integer(64 << 20) && json["new_bytes"] == .integer(128 << 20) && json["warnings"] == [])
        #expect(json["failure"]?.objectValue.map { Array($0.keys) } == ["class", "module", "message", "tb", "args", "kwargs"])
        #expect(json["failure"]?["class"] == "InvalidVolume" && json["failure"]?["kwargs"]?["task_id"] == .null)
        #expect(json["failure"]?["kwargs"]?["reason_code"] == "new_volume_too_small")
        #expect(json["failure"]?["kwargs"]?["in_use"] == "old")
    }

    @Test("A refusal quotes only the beginning of what the request says")
    func quotation() {
        let path = "/var/lib/nova/mnt/" + String(repeating: "a ", count: 2000)
        let refusal = SwapFailure.invalidVolume("the new volume \(path) does not exist on this host", .newVolumeMissing)
        let args: JSONObject = ["new_connection_info": ["data": ["device_path": .string(path)]]]
        let check = SwapCheck(disk: "vdb", failure: refusal).json(NovaFailure(), args)
        let reason = check["failure"]?["kwargs"]?["reason"]?.stringValue ?? ""
        #expect(reason.hasSuffix("… does not exist on this host") && reason.unicodeScalars.count < 310)
    }

    @Test("A disk that has moved already needs no strategy and no time")
    func moved() {
        let json = Self.json(.alreadyMoved(Self.plan()), Self.plan())
        #expect(json["acceptable"] == true && json["already_moved"] == true && json["adoptable"] == false)
        #expect(json["strategy"] == .null && json["estimate_s"] == 0.0 && json["will_grow"] == false)
    }
}
