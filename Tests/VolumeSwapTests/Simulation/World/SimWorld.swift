import Foundation
import JSON
import Logging

@testable import VolumeSwap

/// The host and everything that happens on it: one seed, one run.
///
/// All of it lives on the thread that created it.
final class SimWorld: @unchecked Sendable {
    /// Stages of a swap, for which faults wait.
    enum Moment: CaseIterable {
        case copyStarted, ready, paused, pivotAsked, pivoted, noted, jobEnded, cancelAsked, defined, undefined, decided
    }

    let seed: UInt64
    /// What is deliberately wrong with this world.
    let mutation: SimMutation?
    let loop: SimLoop
    let logger: Logger
    private(set) var settings = SwapSettings(
        volumes: VolumeSettings(allowedPaths: PathPolicy(["/volumes", "/dev/vg", "/dev/mapper", "/dev/dm-*"])))
    private(set) lazy var libvirt = SimLibvirt(self)
    private(set) lazy var broker = SimBroker(self)
    private(set) lazy var scheduler = SimScheduler(self)
    private(set) lazy var checks = SimChecks(self)
    private(set) lazy var faults = SimFaults(self)
    let storage = SimStorage()
    var volumes: [SimVolume] = []
    var domains: [SimDomain] = []
    var tasks: [SimTask] = []
    var pivotd: SimPivotd?
    /// Secrets that existed before.
    var earlierSecrets: Set<String> = []
    /// Numbers of the guests' writes.
    var writes: UInt32 = 0
    var connectorTrouble: SimConnector.Trouble?
    var growFails = false
    var allowsMonitorCommands = true
    /// Whether QEMU has `block-job-change`.
    var changesCopies = true
    /// Whether libvirt and its guests are on pivotd's host.
    private(set) var isOnOneHost = true
    /// How long pivotd waits for a call that asks QEMU; nil for no limit.
    var callLimit: SimLoop.Time?
    /// The events in words, if requested.
    private(set) var trace: [String]?
    private(set) var violations: [String] = []
    private var places: [String: SimVolume] = [:]
    private var paths: [String: (SimVolume, PathDescription)] = [:]
    private var guestBytes: [String: Int64] = [:]
    private var numbers = 0
    private var lives = 0
    private var isClosed = false
    /// The number of effects after which a pivotd dies, one for each life.
    var deaths: [Int] = []

    init(seed: UInt64, isTraced: Bool = false, mutation: SimMutation? = nil) {
        self.seed = seed
        self.mutation = mutation
        loop = SimLoop(seed: seed)
        trace = isTraced ? [] : nil
        var logger = Logger(label: "simulation")
        logger.handler = SwiftLogNoOpLogHandler()
        self.logger = logger
        settings.pivotTries = 5
        allowsMonitorCommands = !loop.chance(8)
        changesCopies = loop.chance(50)
        isOnOneHost = loop.chance(75)
    }

    // MARK: Words

    func note(_ actor: @autoclosure () -> String, _ text: @autoclosure () -> String) {
        guard trace != nil else { return }
        let time = String(format: "%10.3f s", Double(loop.now) / 1e6)
        trace?.append("\(time)  \(actor().padding(toLength: 8, withPad: " ", startingAt: 0))  \(text())")
    }

    func violate(_ text: @autoclosure () -> String) {
        let text = text()
        violations.append(text)
        note("CHECK", text)
    }

    func outline(_ configuration: SimConfiguration) -> String {
        configuration.disks.map { "\($0.target)=\(volume(at: $0.location)?.id ?? "?")" }.joined(separator: " ")
    }

    func outline(_ qemu: SimQEMU, _ disk: String) -> String { qemu.disks[disk]?.id ?? "?" }

    // MARK: Things

    func nextNumber() -> Int {
        numbers += 1
        return numbers
    }

    func add(_ volume: SimVolume) -> SimVolume {
        volumes.append(volume)
        for name in volume.names { places[name.location.description] = volume }
        for (path, description) in volume.paths { paths[path] = (volume, description) }
        return volume
    }

    func volume(at location: VolumeLocation) -> SimVolume? { places[location.description] }
    func attachable(_ name: String?) -> SimVolume? { volumes.first { $0.kind == .attached && "v\($0.number)" == name } }

    func path(_ path: String) -> PathDescription? {
        guard let (volume, description) = paths[path], volume.isConnected else { return nil }
        guard mutation == .aliasesDenied else { return description }
        return PathDescription(kind: description.kind, bytes: volume.bytes, canonicalPath: path, names: [path], deviceNumber: nil)
    }

    func isHung(_ path: String) -> Bool { paths[path].map { $0.0.isHung && $0.0.kind == .file } ?? false }

    /// Whether a QEMU has it open, as a disk or a copy's destination.
    func isOpen(_ volume: SimVolume) -> Bool {
        domains.contains { domain in
            guard let qemu = domain.qemu, !qemu.isDead else { return false }
            return qemu.disks.values.contains { $0 === volume } || qemu.jobs.values.contains { $0.target === volume }
        }
    }

    func guestBytes(_ domain: SimDomain, _ disk: String) -> Int64? { guestBytes["\(domain.number)/\(disk)"] }
    func setGuestBytes(_ domain: SimDomain, _ disk: String, _ bytes: Int64) { guestBytes["\(domain.number)/\(disk)"] = bytes }

    func copyTime() -> SimLoop.Time {
        switch loop.below(10) {
        case 0..<4: loop.pick(20 * .millisecond...600 * .millisecond)
        case 4..<8: loop.pick(1 * .second...15 * .second)
        default: loop.pick(20 * .second...100 * .second)
        }
    }

    func set(sampleInterval: Duration) { settings.sampleInterval = sampleInterval }

    func clock(_ life: SimLife) -> SimClock { SimClock(loop, life) }

    func pause(_ time: SimLoop.Time) async {
        await withUnsafeContinuation { continuation in _ = loop.after(time) { continuation.resume() } }
    }

    func moment(_ moment: Moment, _ domain: SimDomain?) { faults.happened(moment, domain) }

    // MARK: pivotd's lives

    func startPivotd() {
        lives += 1
        let lastEffect = lives <= deaths.count ? deaths[lives - 1] : nil
        let life = SimLife(number: lives, lastEffect: lastEffect) { [unowned self] in
            note("pivotd", "is gone")
            pivotd?.die()
            pivotd = nil
            scheduler.forget()
            if isClosed { return }
            let restart = loop.pick(500 * .millisecond...6 * .second)
            loop.after(restart) { [self] in startPivotd() }
        }
        note("pivotd", "starts, life \(lives)")
        let next = SimPivotd(self, life)
        pivotd = next
        next.start()
    }

    /// Publishes a reply, which the broker confirms.
    func deliver(_ life: SimLife, _ record: SwapRecord, _ replyTo: ReplyTo, _ outcome: SwapOutcome) async -> ReplyFate? {
        guard life.pass() else { return nil }
        await pause(loop.pick(500...20 * .millisecond))
        guard life.isAlive else { return nil }
        checks.decided(record.id, outcome, by: "reply")
        if let task = tasks.first(where: { $0.id == record.id }), replyTo == task.replyTo, task.repliedAt == nil {
            task.repliedAt = loop.now
        }
        return life.pass() ? .delivered : nil
    }

    // MARK: The run

    /// Runs everything until it is over.
    func run() {
        faults.prepare()
        startPivotd()
        scheduler.keepPivoting()
        advance(to: faults.end)
        guard violations.isEmpty else { return }
        note("world", "everything is released: no more faults")
        faults.release()
        let limit = loop.now + 3 * .hour
        while violations.isEmpty, loop.now < limit, !isOver {
            advance(to: loop.now + 10 * .second)
        }
        if violations.isEmpty { advance(to: loop.now + 3 * .minute) }
        if violations.isEmpty {
            for domain in domains { domain.qemu?.write() }
            checks.end()
        }
    }

    /// Whether all tasks have been answered and have nothing left to do.
    private var isOver: Bool {
        broker.isEmpty && tasks.allSatisfy { $0.isOver }
            && storage.order.allSatisfy { storage.records[$0]?.isOver == true && storage.records[$0]?.isReplied == true }
    }

    private func advance(to time: SimLoop.Time) {
        while violations.isEmpty, loop.step(until: time) {
            if loop.steps > 3_000_000 { return violate("the run does not end: pivotd is spinning") }
        }
    }

    /// Ends what still runs, so that nothing keeps this world in memory.
    func close() {
        isClosed = true
        pivotd?.life.end()
        let end = loop.now + 1 * .hour
        let last = loop.steps + 20_000
        while loop.steps < last, loop.step(until: end) {}
        loop.clear()
    }
}
