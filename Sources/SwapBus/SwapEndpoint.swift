import JSON
import Metrics
package import OsloMessaging
package import VolumeSwap

/// The methods of the bus, carried out by a ``SwapService``.
package struct SwapEndpoint: RPCEndpoint {
    private static let answered: [any SwapMethod.Type] = [GetSwap.self, ListSwaps.self, AbortSwap.self, SetBandwidth.self]
    private static let methodsByName = Dictionary(uniqueKeysWithValues: answered.map { ($0.name, $0) })

    /// Methods whose requests are stored before they are acknowledged.
    package static let storedMethods: Set = [SwapVolume.name]
    package static let methods = storedMethods.union(methodsByName.keys)

    private let service: SwapService
    private let replies: ReplyPublisher
    private let failures: NovaFailure
    private let onNotStored: @Sendable () -> Void
    private let accepting = Timer(label: "pivotd_accept_seconds")

    /// - Parameter onNotStored: called when the journal could not store a task.
    package init(
        service: SwapService, replies: ReplyPublisher, failures: NovaFailure, onNotStored: @escaping @Sendable () -> Void
    ) {
        self.service = service
        self.replies = replies
        self.failures = failures
        self.onNotStored = onNotStored
    }

    package func receive(_ request: RPCRequest) -> @Sendable () async -> RPCDisposition {
        if request.method == SwapVolume.name { return swap(request) }
        guard let method = Self.methodsByName[request.method] else { return { .reply(.failure(.noSuchMethod(request.method))) } }
        return { .reply(await answer(method, request)) }
    }

    private func swap(_ request: RPCRequest) -> @Sendable () async -> RPCDisposition {
        let arrival = ContinuousClock.now
        // Read before the task is queued: what cannot be a swap is answered at once, however busy its instance is.
        let swap = SwapVolume(request, defaults: service.environment.settings.defaults)
        // Begun before the task can end, so that none follows the final reply, which stops them.
        let heartbeats = request.replyAddress.flatMap { replies.startHeartbeats(for: $0) }
        let accept = service.submit(swap.record, refusal: swap.refusal)
        return {
            switch await accept() {
            case .accepted:
                accepting.record(duration: .now - arrival)
                return .stored
            case .underWay, .ended:
                if let heartbeats { await replies.stopHeartbeats(heartbeats) }
                return .stored
            case .notStored(let error):
                if let heartbeats { await replies.stopHeartbeats(heartbeats) }
                onNotStored()
                return .notStored(reason: error.message)
            }
        }
    }

    private func answer(_ method: any SwapMethod.Type, _ request: RPCRequest) async -> Result<JSONValue, RemoteFailure> {
        do {
            return .success(try await method.init(args: request.args).call(service, failures))
        } catch let failure as SwapFailure {
            return .failure(failures.failure(failure, task: nil))
        } catch {
            return .failure(failures.failure(.rebaseFailed("\(error)", .internal), task: nil))
        }
    }
}
