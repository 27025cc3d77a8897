internal import Basics
internal import Synchronization

/// Resumes one caller with what its call ended with.
typealias Reply<Value: Sendable> = Waiter<Result<Value, AMQPError>>

/// A publish on its way: in the command queue, held while the broker blocks us, or in wait for its confirm.
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

/// What callers ask of the IO thread.
enum Command: Sendable {
    case publish(PendingPublish)
    case acknowledge(DeliveryTag)
    case reject(DeliveryTag, requeue: Bool)
    case declare(AMQPTopology, isKept: Bool, Reply<[String]>)
    case startConsuming(Reply<Void>)
    case stopConsuming(Reply<Void>)
}

/// What a connection's callers and its IO thread share: the command queue, and the state that callers see at once.
///
/// The queue is bounded by what it can hold: publishes by the configured limit, settlements by the prefetch, and the rest by
/// their callers, who wait.
final class ConnectionCore: Sendable {
    enum Phase {
        case idle
        case disconnected
        case connected
        case finished
    }

    struct State {
        var commands: [Command] = []
        /// The IO thread is in poll, or about to be, and wants a signal.
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

        /// For how long the IO thread has been at one thing.
        var standstill: Duration {
            isSleeping || phase == .idle || phase == .finished ? .zero : lastTurn.duration(to: .now)
        }

        /// Whether the IO thread has to be signalled.
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

    /// Queues a command if `admit` lets it; the IO thread is signalled only when it sleeps.
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

    /// Whether the IO thread may poll: there is nothing it has not seen.
    func prepareToSleep(knowsClosing: Bool) -> Bool {
        state.withLock { state in
            guard state.commands.isEmpty, state.isClosing == knowsClosing else { return false }
            state.isSleeping = true
            return true
        }
    }

    /// The IO thread turns to something else.
    func noteTurn() { withState { $0.lastTurn = .now } }

    func drainWakeUps() { wake.drain() }

    /// Begins a new life of the consuming channel; older tags are stale from here on.
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
