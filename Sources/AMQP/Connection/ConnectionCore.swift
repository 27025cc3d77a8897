internal import Basics
internal import Synchronization

/// Delivers a call's result to its caller.
typealias Reply<Value: Sendable> = Waiter<Result<Value, AMQPError>>

/// A publish in progress: in the command queue, held while the broker blocks us, or awaiting its confirm.
final class PendingPublish: Sendable {
    let message: AMQPMessage
    let exchange: String
    let routingKey: String
    let mandatory: Bool
    let deadline: ContinuousClock.Instant
    let reply = Reply<PublishConfirmation>()

    init(message: AMQPMessage, exchange: String, routingKey: String, mandatory: Bool, deadline: ContinuousClock.Instant) {
        self.message = message
        self.exchange = exchange
        self.routingKey = routingKey
        self.mandatory = mandatory
        self.deadline = deadline
    }
}

/// A caller's request to the IO thread.
enum Command: Sendable {
    case publish(PendingPublish)
    case acknowledge(DeliveryTag)
    case reject(DeliveryTag, requeue: Bool)
    case declare(AMQPTopology, isKept: Bool, Reply<[String]>)
    case startConsuming(Reply<Void>)
    case stopConsuming(Reply<Void>)
}

/// What a connection's callers share with its IO thread: the command queue, and state that callers can read at any time.
///
/// The queue is bounded: publishes by the configured limit, settlements by the prefetch, and the rest by their callers, who wait.
final class ConnectionCore: Sendable {
    enum Phase {
        case idle
        case disconnected
        case connected
        case finished
    }

    struct State {
        var commands: [Command] = []
        /// The IO thread is in poll, or about to be, and needs a signal.
        var isSleeping = false
        /// When the IO thread last took commands or was woken.
        var lastTurn = ContinuousClock.now
        var phase = Phase.idle
        var isClosing = false
        var ledger = SettlementLedger()
        var lastEpoch: UInt64 = 0
        var wantsConsuming = false
        var isConsuming = false
        var unavailableQueues: [String] = []
        var isBlocked = false
        var publishesInFlight = 0
        var connectWaiters = Waiters<Result<Void, AMQPError>>()
        var finishWaiters = Waiters<Void>()

        /// How long the IO thread has been busy with a single step.
        var standstill: Duration {
            isSleeping || phase == .idle || phase == .finished ? .zero : lastTurn.duration(to: .now)
        }

        /// Returns whether the IO thread must be signalled.
        mutating func wake() -> Bool {
            guard isSleeping else { return false }
            isSleeping = false
            lastTurn = .now
            return true
        }
    }

    private let state = Mutex(State())
    private let wake: WakeDescriptor
    let publishLimit: Int

    init(publishLimit: Int) {
        self.publishLimit = publishLimit
        wake = WakeDescriptor()
    }

    var wakeDescriptor: Int32 { wake.descriptor }

    func withState<Value: Sendable>(_ body: (inout State) -> Value) -> Value {
        state.withLock { body(&$0) }
    }

    /// Queues a command if `admit` agrees; the IO thread is signalled only if it sleeps.
    func post(_ command: Command, if admit: (inout State) -> Bool) -> Bool {
        let (admitted, needsSignal) = state.withLock { state -> (Bool, Bool) in
            guard admit(&state) else { return (false, false) }
            state.commands.append(command)
            return (true, state.wake())
        }
        if needsSignal { wake.signal() }
        return admitted
    }

    /// Asks the IO thread to end.
    func requestClose() {
        let needsSignal = state.withLock { state in
            state.isClosing = true
            if state.phase == .idle { state.phase = .finished }
            return state.wake()
        }
        if needsSignal { wake.signal() }
    }

    // MARK: The IO thread's side

    func takeCommands() -> (commands: [Command], isClosing: Bool) {
        state.withLock { state in
            _ = state.wake()
            state.lastTurn = .now
            defer { state.commands = [] }
            return (state.commands, state.isClosing)
        }
    }

    /// Whether the IO thread may poll, having seen everything there is.
    func prepareToSleep(knowsClosing: Bool) -> Bool {
        state.withLock { state in
            guard state.commands.isEmpty, state.isClosing == knowsClosing else { return false }
            state.isSleeping = true
            return true
        }
    }

    /// Records that the IO thread moves on to its next step.
    func noteTurn() { withState { $0.lastTurn = .now } }

    func drainWakeUps() { wake.drain() }

    /// Begins a new life of the consuming channel; older tags become stale.
    func beginEpoch() -> UInt64 {
        state.withLock { state in
            state.lastEpoch += 1
            state.ledger.begin(epoch: state.lastEpoch)
            return state.lastEpoch
        }
    }

    func connected() {
        // Resumed without the lock, which a cancellation of `run()` takes.
        var waiters = state.withLock { state in
            state.phase = .connected
            defer { state.connectWaiters = Waiters() }
            return state.connectWaiters
        }
        waiters.resumeAll(.success(()))
    }

    /// Ends the epoch and returns the commands that were not carried out.
    func disconnected() -> [Command] {
        state.withLock { state in
            if state.phase != .finished { state.phase = .disconnected }
            state.isConsuming = false
            state.unavailableQueues = []
            state.isBlocked = false
            state.ledger.begin(epoch: 0)
            defer { state.commands = [] }
            return state.commands
        }
    }

    func finish() {
        var (connecting, finishing) = state.withLock { state in
            state.phase = .finished
            state.isClosing = true
            defer { (state.connectWaiters, state.finishWaiters) = (Waiters(), Waiters()) }
            return (state.connectWaiters, state.finishWaiters)
        }
        connecting.resumeAll(.failure(.closedByUs))
        finishing.resumeAll(())
    }
}
