import Foundation
import JSON
import Testing

@testable import Journal
@testable import VolumeSwap

struct JournalCodingTests {
    static let locations: [VolumeLocation] = [
        .file("/a \"b\" \\ü\n"), .block("/dev/b"), .other("volume p"),
        .network(
            NetworkLocation(transport: "rbd", name: "p/i", hosts: [.init(name: "a", port: 6789), .init(name: "b", port: nil)])),
    ]

    /// A plan in which every member has a value.
    private static func full(_ location: VolumeLocation) throws -> SwapPlan {
        var plan = try Sample.plan
        plan.oldLocation = location
        plan.destination = VolumeSource(
            location: location, format: "qcow2",
            auth: .init(username: "u", secret: SecretReference(type: "ceph", uuid: "1", usage: "2")),
            encryption: SecretReference(type: "passphrase", uuid: "3", usage: "4"))
        plan.newBytes = .max
        plan.headerBytes = 1 << 24
        plan.resizeToBytes = 1 << 40
        plan.madeSecret = "5"
        plan.options.strategy = .copy
        plan.options.bandwidthMiBs = 7
        plan.options.timeoutS = 0.1
        plan.options.stallTimeoutS = 3
        plan.options.detectZeroes = true
        plan.options.convergence = .always
        plan.convergence = .begunAgain
        plan.options = try SwapOptions(json: ["guest_latency_budget": "1.5x"], defaults: plan.options)
        plan.guestLatency = 3.25
        plan.failure = SwapFailure(.invalidVolume, "r", .aborted, inUse: .old, leftBehind: ["l"])
        plan.mayHavePivoted = true
        plan.isMirroredBack = true
        plan.isDefinedAgain = true
        plan.resized = false
        plan.capacityBytes = 1 << 30
        plan.isAutostarted = true
        plan.liveDevices = ["disk vdb"]
        return plan
    }

    @Test(arguments: [nil, 0.5, 60]) func anAddressReadsBackAsItWas(timeout: Double?) throws {
        let address = ReplyTo(messageID: "m\"1", queue: "reply_1", timeout: timeout)
        #expect(try JSONDecoder().decode(ReplyTo.self, from: Data(JournalCoding.text(address).utf8)) == address)
    }

    @Test(arguments: locations) func aPlanReadsBackAsItWas(location: VolumeLocation) throws {
        for plan in [try Sample.plan, try Self.full(location)] {
            #expect(try JournalCoding.value(SwapPlan.self, JournalCoding.text(plan)) == plan)
        }
    }
}
