import Testing

@testable import VolumeSwap

@Suite("Choosing a strategy")
struct StrategyChoiceTests {
    enum Obstacle: CaseIterable, Sendable {
        case network, encryption, granularity, buffer, synchronous, zeroes, qcow2, slice, resize, snapshots, checkpoints,
            managedSave, tpm

        /// Only a persistent domain can lose something while undefined.
        var needsPersistence: Bool { [.snapshots, .checkpoints, .managedSave, .tpm].contains(self) }
        var kind: SwapFailure.Kind { self == .slice || self == .resize ? .invalidVolume : .invalidInput }
    }

    static func choice(_ wish: SwapStrategy?, _ obstacle: Obstacle?, persistent: Bool, keepsTPM: Bool = false) throws
        -> SwapStrategy
    {
        var plan = Fixture.plan(persistent: persistent)
        plan.options.strategy = wish
        var saved = SavedStates()
        switch obstacle {
        case .network: plan.destination.location = .network(NetworkLocation(transport: "nbd", name: "x", hosts: []))
        case .encryption: plan.destination.encryption = SecretReference(type: "passphrase", uuid: "u")
        case .granularity: plan.options.granularityKiB = 64
        case .buffer: plan.options.bufferMiB = 1
        case .synchronous: plan.options.synchronousWrites = true
        case .zeroes: plan.options.detectZeroes = true
        case .qcow2: plan.destination.format = "qcow2"
        case .slice: plan.usesSlice = true
        case .resize: plan.resizeToBytes = 1 << 40
        case .snapshots: saved.hasSnapshots = true
        case .checkpoints: saved.hasCheckpoints = true
        case .managedSave: saved.hasManagedSave = true
        case .tpm, nil: break
        }
        return try StrategyChoice(plan: plan, saved: saved, hasTPM: obstacle == .tpm).strategy(keepsTPMState: keepsTPM)
    }

    @Test("auto chooses rebase for a transient domain and a plain path, else copy", arguments: [true, false])
    func auto(persistent: Bool) throws {
        #expect(try Self.choice(nil, nil, persistent: persistent) == (persistent ? .copy : .rebase))
        for obstacle in Obstacle.allCases where !obstacle.needsPersistence {
            #expect(try Self.choice(nil, obstacle, persistent: persistent) == .copy)
        }
    }

    @Test("copy is never refused", arguments: Obstacle.allCases, [true, false])
    func copy(obstacle: Obstacle, persistent: Bool) throws {
        #expect(try Self.choice(.copy, obstacle, persistent: persistent) == .copy)
    }

    @Test(
        "An explicit rebase that cannot express the request is refused with advice", arguments: Obstacle.allCases, [true, false])
    func rebase(obstacle: Obstacle, persistent: Bool) throws {
        if obstacle.needsPersistence, !persistent {
            #expect(try Self.choice(.rebase, obstacle, persistent: false) == .rebase)
            return
        }
        let failure = Fixture.failure { _ = try Self.choice(.rebase, obstacle, persistent: persistent) }
        #expect(failure?.kind == obstacle.kind)
        #expect(failure?.reason.hasSuffix("use copy") == true)
    }

    @Test("Otherwise an explicit rebase is used", arguments: [true, false])
    func plainRebase(persistent: Bool) throws {
        #expect(try Self.choice(.rebase, nil, persistent: persistent) == .rebase)
    }

    @Test("A vTPM is not an obstacle if libvirt keeps its state")
    func keptTPM() throws {
        #expect(try Self.choice(.rebase, .tpm, persistent: true, keepsTPM: true) == .rebase)
    }
}
