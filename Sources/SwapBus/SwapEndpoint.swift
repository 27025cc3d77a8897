import JSON
import Logging
import Metrics
package import OsloMessaging
package import VolumeSwap

/// The methods on the bus, carried out by a ``SwapService``.
package struct SwapEndpoint: RPCEndpoint {
    private static let answered: [any SwapMethod.Type] = [
        CheckSwap.self, GetSwap.self, ListSwaps.self, AbortSwap.self, SetBandwidth.self, GetConnector.self, ListVolumes.self,
        GetCapabilities.self, PivotSwap.self, PauseQueue.self, ResumeQueue.self, Drain.self,
    ]
    static let methodsByName = Dictionary(uniqueKeysWithValues: answered.map { ($0.name, $0) })

    /// Methods whose requests are stored before they are acknowledged.
    package static let storedMethods: Set = [SwapVolume.name]
    /// Methods that ask others, who may not answer for long.
    package static let slowMethods = Set(answered.filter { $0.isSlow }.map { $0.name })
    /// All methods by name.
    package static let methods = storedMethods.union(methodsByName.keys)

    private let service: SwapService
    private let failures: NovaFailure
    private let onNotStored: @Sendable () -> Void
    private let accepting = Timer(label: "pivotd_accept_seconds")

    /// - Parameters:
    ///   - service: carries out the methods.
    ///   - failures: encodes failures as nova's exceptions.
    ///   - onNotStored: called when the journal could not store a task.
    package init(service: SwapService, failures: NovaFailure, onNotStored: @escaping @Sendable () -> Void) {
        self.service = service
        self.failures = failures
        self.onNotStored = onNotStored
    }

    /// A request's place in the order of arrival.
    package enum Turn: Sendable {
        case swap(SwapTurn, arrival: ContinuousClock.Instant)
        case answer(RPCRequest)
    }

    /// Takes a request's place in the order of arrival. Never blocks.
    package func take(_ request: RPCRequest) -> Turn {
        guard request.method == SwapVolume.name else { return .answer(request) }
        let arrival = ContinuousClock.now
        // Parsed before the task is queued, so that an invalid request is answered at once, however busy its instance is.
        let swap = SwapVolume(request, defaults: service.environment.settings.defaults)
        return .swap(service.take(swap.record, refusal: swap.refusal), arrival: arrival)
    }

    /// Stores a swap, or answers any other request.
    package func carryOut(_ turn: Turn) async -> RPCDisposition {
        switch turn {
        case .swap(let swap, let arrival): await store(swap, arrival)
        case .answer(let request): .reply(await answer(request))
        }
    }

    private func store(_ turn: SwapTurn, _ arrival: ContinuousClock.Instant) async -> RPCDisposition {
        switch await service.carryOut(turn) {
        case .accepted:
            accepting.record(duration: .now - arrival)
            return .stored
        case .shared: return .stored
        case .underWay: return .known
        case .ended(let outcome):
            guard let caller = turn.record.replyTo else { return .known }
            let reply = SwapReply(turn.record, caller, outcome, failures)
            return .reply(reply.result, uniqueID: reply.uniqueID)
        case .notStored(let error):
            onNotStored()
            return .notStored(reason: error.message)
        }
    }

    private func answer(_ request: RPCRequest) async -> Result<JSONValue, RemoteFailure> {
        guard let method = Self.methodsByName[request.method] else { return .failure(.noSuchMethod(request.method)) }
        let logger = service.environment.logger
        if method.isControl { logger.notice("\(method.name) requested", metadata: ControlLog.metadata(request)) }
        let failure: SwapFailure
        do {
            return .success(try await method.init(args: request.args).call(service, failures))
        } catch let refusal as SwapFailure {
            failure = refusal
        } catch let error as HypervisorError {
            failure = .rebaseFailed(error.message)
        } catch {
            failure = .rebaseFailed("\(error)", .internal)
        }
        let remote = failures.failure(failure, task: nil, args: request.args)
        if method.isControl {
            logger.notice("\(method.name) refused: \(remote.message)", metadata: ControlLog.metadata(request))
        }
        return .failure(remote)
    }
}
