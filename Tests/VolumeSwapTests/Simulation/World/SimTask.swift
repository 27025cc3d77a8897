import Foundation
import JSON
import OrderedCollections
import Synchronization

@testable import VolumeSwap

/// One swap as its caller knows it.
final class SimTask: CustomStringConvertible, @unchecked Sendable {
    let number: Int
    let domain: SimDomain
    let disk: String
    let old: SimVolume
    let new: SimVolume
    let args: JSONObject
    let isCall: Bool
    let sentAt: SimLoop.Time
    /// Whether the plain swap must succeed where nothing goes wrong.
    let isPlain: Bool

    var id: TaskID { TaskID("task-\(number)") }
    var replyTo: ReplyTo? { isCall ? ReplyTo(messageID: "m-\(number)", queue: "reply", timeout: nil) : nil }

    /// What the disk was on when its copy began: a volume with the old one's serial is the old one.
    var source: SimVolume?
    var outcome: SwapOutcome?
    var decidedAt: SimLoop.Time?
    var repliedAt: SimLoop.Time?
    /// Since when its copy stalls, and when it must have been answered for that.
    var answerBy: (from: SimLoop.Time, SimLoop.Time)?
    /// Of an `abort_swap` that was taken on.
    var abortedAt: SimLoop.Time?
    /// Which incarnation of pivotd took it on: the next one does not know of it.
    var abortedInLife = 0

    init(
        number: Int, domain: SimDomain, disk: String, old: SimVolume, new: SimVolume, args: JSONObject, isCall: Bool,
        sentAt: SimLoop.Time, isPlain: Bool
    ) {
        self.number = number
        self.domain = domain
        self.disk = disk
        self.old = old
        self.new = new
        self.args = args
        self.isCall = isCall
        self.sentAt = sentAt
        self.isPlain = isPlain
    }

    /// Its caller has thought better of it, and never sends it.
    var isWithdrawn = false
    var isOver: Bool { isWithdrawn || (isCall ? repliedAt != nil : decidedAt != nil) }

    var description: String {
        let options = args["options"]?.objectValue?.map { " \($0.key)=\($0.value.serialized())" }.joined() ?? ""
        let name = new.names.first { .object($0.connection) == args["new_connection_info"] }?.location.description ?? ""
        let resize = args["resize_to"] == 0 ? "" : " resize_to=\(args["resize_to"]?.integerValue ?? 0)"
        return "\(id): \(domain.name)'s \(disk) from \(old.id) to \(new.id) (\(name))\(resize)\(options)"
    }

    /// What the endpoint finds wrong with the arguments alone.
    var refusal: SwapFailure? {
        do throws(SwapFailure) {
            _ = try SwapRequest(args: args, defaults: SwapOptions())
            return nil
        } catch {
            return error
        }
    }

    /// As the endpoint reads it from the message.
    func record(at date: Date, replyTo: ReplyTo?) -> SwapRecord {
        let instance = try? InstanceReference(json: args["instance"])
        return SwapRecord(
            id: id, instanceKey: instance?.key ?? "task:\(id)", disk: disk, args: args, replyTo: replyTo, acceptedAt: date)
    }
}

/// The broker: a message stays until it is acknowledged, and is delivered again when pivotd dies.
final class SimBroker: @unchecked Sendable {
    private struct Message {
        let task: SimTask
        let replyTo: ReplyTo?
        /// The life that has it, unacknowledged.
        var holder: Int?
    }

    unowned let world: SimWorld
    private var messages: [Message] = []

    init(_ world: SimWorld) { self.world = world }

    var isEmpty: Bool { messages.isEmpty }

    func send(_ task: SimTask, as replyTo: ReplyTo?) {
        world.note("client", "sends \(task)")
        messages.append(Message(task: task, replyTo: replyTo))
        world.pivotd?.consume()
    }

    /// Hands all that nobody has to a consuming pivotd.
    func deliver(to pivotd: SimPivotd) {
        for index in messages.indices where messages[index].holder != pivotd.life.number {
            messages[index].holder = pivotd.life.number
            let (task, replyTo) = (messages[index].task, messages[index].replyTo)
            let accept = pivotd.service.submit(task.record(at: pivotd.clock.date, replyTo: replyTo), refusal: task.refusal)
            pivotd.spawn { [self] in
                let submission = await accept()
                guard pivotd.life.isAlive else { return }
                settle(task, replyTo, submission, pivotd)
            }
        }
    }

    private func settle(_ task: SimTask, _ replyTo: ReplyTo?, _ submission: Submission, _ pivotd: SimPivotd) {
        guard let index = messages.firstIndex(where: { $0.task === task && $0.replyTo == replyTo }) else { return }
        if case .notStored = submission {
            world.loop.after(2 * .second) { [self] in
                guard let index = messages.firstIndex(where: { $0.task === task && $0.replyTo == replyTo }) else { return }
                messages[index].holder = nil
                world.pivotd?.consume()
            }
        } else {
            messages.remove(at: index)
        }
    }
}

/// One incarnation of pivotd: the service with everything around it, from start to death.
final class SimPivotd: @unchecked Sendable {
    let life: SimLife
    let clock: SimClock
    let service: SwapService
    private unowned let world: SimWorld
    private let hypervisor: SimHypervisor
    private var tasks: [Task<Void, Never>] = []
    private(set) var isConsuming = false

    init(_ world: SimWorld, _ life: SimLife) {
        self.world = world
        self.life = life
        clock = SimClock(world.loop, life)
        hypervisor = SimHypervisor(world, life)
        let environment = SwapEnvironment(
            hypervisor: hypervisor, connector: SimConnector(world, life), journal: SimJournal(world, life), settings: world.settings,
            observer: SimObserver(), logger: world.logger, clock: clock)
        service = SwapService(environment: environment) { [unowned world] record, replyTo, outcome in
            await world.deliver(life, record, replyTo, outcome)
        }
    }

    func spawn(_ body: @escaping @Sendable () async -> Void) { tasks.append(Task(executorPreference: world.loop) { await body() }) }

    func start() {
        spawn { [self] in await service.run() }
        spawn { [self] in
            do {
                let count = try await service.recover()
                guard life.isAlive else { return }
                world.note("pivotd", "takes up \(count) tasks")
            } catch {
                guard life.isAlive else { return }
                world.note("pivotd", "cannot start: \(error)")
                return life.end()
            }
            await hypervisor.waitUntilConnected()
            guard life.isAlive else { return }
            world.note("pivotd", "is ready")
            spawn { [self] in await service.restoreOrphans() }
            isConsuming = true
            consume()
        }
    }

    func consume() { if isConsuming, life.isAlive { world.broker.deliver(to: self) } }

    /// SIGTERM: no more consuming; what runs is left to the hypervisor, what pivots is finished, if that takes no longer than ten seconds.
    func stop() {
        isConsuming = false
        tasks[0].cancel()
        let run = tasks[0]
        spawn { [self] in
            await run.value
            life.end()
        }
        world.loop.after(10 * .second) { [life] in life.end() }
    }

    /// Its tasks unwind: their calls throw from now on.
    func die() {
        for task in tasks { task.cancel() }
        tasks = []
        // The work that waits in its queues holds the service, which holds the queues.
        let tickets = service.active.withLock { active in
            defer { active = [:] }
            return active.values.compactMap(\.ticket)
        }
        for ticket in tickets { service.executor.withdraw(ticket) }
    }
}

struct SimObserver: SwapObserver {
    func started(_ record: SwapRecord, _ plan: SwapPlan) {}
    func entered(_ record: SwapRecord, _ phase: SwapPhase) {}
    func progressed(_ record: SwapRecord, _ plan: SwapPlan, _ progress: SwapProgress) {}
    func pivoting(_ record: SwapRecord, afterReady delay: Duration) {}
    func ended(_ record: SwapRecord, _ outcome: SwapOutcome, duration: Duration, overhead: Duration?) {}
}
