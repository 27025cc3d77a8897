import JSON

@testable import VolumeSwap

/// The connector helper: attaches and detaches what only it can. It may fail, be late, or be killed after doing its work.
final class SimConnector: VolumeConnector, @unchecked Sendable {
    enum Trouble: CaseIterable {
        case refuses
        /// It does its work but reports a failure.
        case failsAfterwards
        /// It is killed by its time-out, with or without having done its work.
        case hangs
    }

    private unowned let world: SimWorld
    private let life: SimLife

    init(_ world: SimWorld, _ life: SimLife) {
        self.world = world
        self.life = life
    }

    var isConfigured: Bool { true }

    func connect(_ connection: ConnectionInfo) async throws(SwapFailure) -> String {
        let volume = try await run("connect", connection) { volume in
            volume.isConnected = true
            volume.wasConnectedByPivotd = true
        }
        return volume.names[0].location.path ?? ""
    }

    func disconnect(_ connection: ConnectionInfo) async throws(SwapFailure) {
        _ = try await run("disconnect", connection) { [world] volume in
            world.checks.disconnects(volume)
            volume.isConnected = world.mutation == .disconnectsDropped
        }
    }

    private func run(
        _ action: String, _ connection: ConnectionInfo, _ work: (SimVolume) -> Void
    ) async throws(SwapFailure) -> SimVolume {
        let failed = SwapFailure.invalidVolume("the connector helper failed to \(action)", .connectorFailed)
        guard life.pass(), let volume = world.attachable(connection.data["target_wwn"]?.stringValue) else {
            await life.rest()
            throw failed
        }
        let trouble = world.connectorTrouble
        await world.pause(world.loop.pick(10 * .millisecond...800 * .millisecond))
        let isDone = trouble == nil || trouble == .failsAfterwards || (trouble == .hangs && world.loop.chance(50))
        // The helper is a separate process: it may finish after pivotd's death, but not after the next start.
        if isDone, life.isAlive || world.pivotd == nil && world.loop.chance(50) {
            world.note("helper", "\(action)s \(volume.id)")
            work(volume)
        }
        if trouble == .hangs { await world.pause(60 * .second) }
        guard life.pass() else { throw failed }
        if trouble != nil {
            world.note("helper", "fails to \(action) \(volume.id)\(isDone ? ", having done it" : "")")
            throw failed
        }
        return volume
    }
}
