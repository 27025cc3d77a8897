import Budgets
import JSON
import Logging
import Synchronization

@testable import VolumeSwap

/// A connector that remembers what it attached.
final class FakeConnector: VolumeConnector {
    private let state = Mutex<[String]>([])
    let path: String
    let isConfigured: Bool
    /// The result of a connect.
    private let trouble: SwapFailure?
    /// A connect that returns only when its task is cancelled.
    private let hangs: Bool
    /// Whether a disconnect waits until it may go on.
    private let disconnectHangs: Mutex<Bool>
    private let asked: AsyncStream<Void>
    private let ask: AsyncStream<Void>.Continuation

    init(
        path: String = Fixture.newPath, isConfigured: Bool = false, trouble: SwapFailure? = nil, hangs: Bool = false,
        disconnectHangs: Bool = false
    ) {
        self.path = path
        self.isConfigured = isConfigured
        self.trouble = trouble
        self.hangs = hangs
        self.disconnectHangs = Mutex(disconnectHangs)
        (asked, ask) = AsyncStream.makeStream()
    }

    var log: [String] { state.withLock { $0 } }
    /// The `device_path` of the last disconnect.
    private let disconnected = Mutex<String?>(nil)
    var disconnectedPath: String? { disconnected.withLock { $0 } }

    /// Returns once a connect is requested.
    func untilAsked() async { for await _ in asked { return } }

    func connect(_ volume: ConnectionInfo) async throws(SwapFailure) -> String {
        state.withLock { $0.append("connect \(volume.volumeID ?? "")") }
        ask.yield()
        if hangs {
            for await _ in AsyncStream<Void>.makeStream().stream {}
            throw .invalidVolume("it was interrupted", .connectorFailed)
        }
        if let trouble { throw trouble }
        return path
    }

    func disconnect(_ volume: ConnectionInfo) async throws(SwapFailure) {
        state.withLock { $0.append("disconnect \(volume.volumeID ?? "")") }
        disconnected.withLock { $0 = volume.devicePath }
        guard disconnectHangs.withLock({ $0 }) else { return }
        while disconnectHangs.withLock({ $0 }) {
            if Task.isCancelled { throw .invalidVolume("it was killed", .connectorFailed) }
            await Task.yield()
        }
        state.withLock { $0.append("disconnected") }
    }

    func letDisconnect() { disconnectHangs.withLock { $0 = false } }
}

/// An observer that records starts and ends.
final class FakeObserver: SwapObserver {
    private let state = Mutex<[String]>([])
    var log: [String] { state.withLock { $0 } }

    func started(_ record: SwapRecord, _ plan: SwapPlan) { state.withLock { $0.append("started") } }
    func entered(_ record: SwapRecord, _ phase: SwapPhase) {}
    func progressed(_ record: SwapRecord, _ plan: SwapPlan, _ progress: SwapProgress, in state: SwapPhase) {}
    func converging(_ record: SwapRecord, _ step: ConvergenceStep) { state.withLock { $0.append("\(step)") } }
    func pivoting(_ record: SwapRecord, afterReady delay: Duration) { state.withLock { $0.append("pivoting") } }
    func ended(_ record: SwapRecord, _ outcome: SwapOutcome, duration: Duration, overhead: Duration?) {
        state.withLock { $0.append("ended") }
    }
}

/// One runner with fakes around it.
struct Bench {
    let hypervisor: FakeHypervisor
    /// Used instead, for two disks.
    var twin: TwinHypervisor?
    let journal = FakeJournal()
    let observer = FakeObserver()
    let connector: FakeConnector
    let control = SwapControl(phase: .accepted)
    let clock = JumpingClock()
    var storeRetry = Duration.seconds(60)
    var rollBackPatience = Duration.seconds(60)
    var answerLimit = Duration.seconds(60)
    var abortStoringLimit = Duration.seconds(60)
    var maxConcurrentSwaps = 8
    var rules: [BudgetRule] = []
    var onPhase: @Sendable (SwapPhase) async -> Void = { _ in }
    var onPause: @Sendable () async -> Void = {}
    var groupPauseLimit = Duration.seconds(10)

    init(_ hypervisor: FakeHypervisor = FakeHypervisor(), connector: FakeConnector = FakeConnector()) {
        self.hypervisor = hypervisor
        self.connector = connector
    }

    var environment: SwapEnvironment {
        var settings = SwapSettings(volumes: VolumeSettings(allowedPaths: PathPolicy(["/volumes", "/dev/loop*"])))
        settings.sampleInterval = .milliseconds(20)
        settings.pivotTries = 3
        settings.storeRetry = storeRetry
        settings.rollBackPatience = rollBackPatience
        settings.answerLimit = answerLimit
        settings.abortStoringLimit = abortStoringLimit
        settings.groupPauseLimit = groupPauseLimit
        settings.maxConcurrentSwaps = maxConcurrentSwaps
        settings.budget.rules = rules
        var hooks = SwapHooks()
        hooks.onPhase = onPhase
        hooks.onPause = onPause
        var logger = Logger(label: "test")
        logger.handler = SwiftLogNoOpLogHandler()
        return SwapEnvironment(
            hypervisor: twin ?? hypervisor, connector: connector, journal: journal, settings: settings, observer: observer,
            logger: logger, clock: clock, hooks: hooks)
    }

    func run(
        _ arguments: JSONObject = [:], from entry: SwapEntry = .fresh,
        answer: @escaping @Sendable (SwapFailure) async -> Void = { _ in }
    ) async throws -> SwapOutcome? {
        let record = Fixture.record("task-1", arguments)
        journal.put(record)
        let request = try SwapRequest(args: record.args, defaults: SwapOptions())
        return await SwapRunner(
            environment: environment, record: record, request: request, control: control, host: SwapHost(answer: answer)
        ).run(from: entry)
    }
}

extension Bench {
    /// A bench whose swap is aborted once it copies.
    func abortedWhileCopying() -> Bench {
        var bench = self
        let control = control
        bench.onPhase = { if $0 == .copying { _ = control.requestAbort() } }
        return bench
    }
}

extension SwapOutcome {
    var result: JSONValue? {
        guard case .success(let result) = self else { return nil }
        return result.json
    }

    var failure: SwapFailure? {
        guard case .failure(let failure) = self else { return nil }
        return failure
    }
}
