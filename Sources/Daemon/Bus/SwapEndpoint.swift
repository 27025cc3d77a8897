import Foundation
import JSON
import Logging
import Metrics
import OrderedCollections
package import OsloMessaging
import VolumeSwap

/// The methods of the bus, carried out by a ``SwapService``.
package struct SwapEndpoint: RPCEndpoint {
    package static let methods: Set = ["swap_volume", "get_swap", "list_swaps", "abort_swap", "set_bandwidth"]
    package static let storedMethods: Set = ["swap_volume"]

    let service: SwapService
    let replies: ReplyPublisher
    let failures: NovaFailure
    /// Called when the journal could not store a task.
    let onNotStored: @Sendable () -> Void
    let accepting = Timer(label: "pivotd_accept_seconds")

    package func receive(_ request: RPCRequest, redelivered: Bool) -> @Sendable () async -> RPCDisposition {
        guard Self.storedMethods.contains(request.method) else {
            return { .reply(await answer(request)) }
        }
        return swap(request)
    }

    private func swap(_ request: RPCRequest) -> @Sendable () async -> RPCDisposition {
        let arrival = ContinuousClock.now
        // Read before the task is queued: what cannot be a swap is answered at once, however busy its instance is.
        let refusal = refusal(of: request)
        let record = Self.record(request, isRefused: refusal != nil)
        // Begun before the task can end, so that none follows the final reply, which stops them.
        let heartbeats = request.replyAddress.flatMap { replies.startHeartbeats(for: $0) }
        let accept = service.submit(record, refusal: refusal)
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

    private func refusal(of request: RPCRequest) -> SwapFailure? {
        do throws(SwapFailure) {
            _ = try SwapRequest(args: request.args, defaults: service.environment.settings.defaults)
            return nil
        } catch {
            return error
        }
    }

    static func record(_ request: RPCRequest, isRefused: Bool = false) -> SwapRecord {
        let id = TaskID(uniqueID: request.uniqueID, messageID: request.messageID) ?? TaskID(UniqueID.random())
        let instance = try? InstanceReference(json: request.args["instance"])
        let disk = try? SwapRequest.disk(mountpoint: request.args["mountpoint"])
        let replyTo = request.replyAddress.map { ReplyTo(messageID: $0.messageID, queue: $0.replyQueue, timeout: $0.timeout) }
        return SwapRecord(
            id: id, instanceKey: isRefused ? "task:\(id)" : instance?.key ?? "task:\(id)", disk: disk ?? "", args: request.args,
            context: request.context,
            replyTo: replyTo, acceptedAt: .now)
    }

    private func answer(_ request: RPCRequest) async -> Result<JSONValue, RemoteFailure> {
        do {
            switch request.method {
            case "get_swap": return .success(try await status(try SwapSelector(args: request.args)))
            case "list_swaps": return .success(try await list(request.args))
            case "abort_swap": return .success(presented(try await service.abort(try SwapSelector(args: request.args))))
            default: return .success(presented(try await setBandwidth(request.args)))
            }
        } catch let failure as SwapFailure {
            return .failure(failures.failure(failure, task: nil))
        } catch {
            return .failure(failures.failure(.rebaseFailed("\(error)", .internal), task: nil))
        }
    }

    private func status(_ selector: SwapSelector) async throws -> JSONValue { presented(try await service.status(selector)) }

    private func list(_ args: JSONObject) async throws -> JSONValue {
        let swaps = try await service.list(try SwapQuery(args: args))
        return ["swaps": .array((swaps["swaps"]?.arrayValue ?? []).map(presented))]
    }

    private func setBandwidth(_ args: JSONObject) async throws -> JSONValue {
        let selector = try SwapSelector(args: args)
        guard let value = args["bandwidth_mib_s"]?.wholeValue, (0...(1 << 32)).contains(value) else {
            throw SwapFailure.invalidInput("bandwidth_mib_s: must be an integer number of MiB/s, 0 for no limit")
        }
        return try await service.setBandwidth(selector, mibS: value)
    }

    /// A failure as the caller of the swap got it: nova's class and message.
    private func presented(_ status: JSONValue) -> JSONValue {
        guard case .object(var object) = status, let failure = SwapFailure(status: object["failure"]) else { return status }
        let remote = failures.failure(failure, task: object["task_id"]?.stringValue)
        object["failure"] = [
            "class": .string(remote.className), "module": .string(remote.module), "message": .string(remote.message),
            "kwargs": .object(remote.kwargs),
        ]
        return .object(object)
    }
}

extension NovaFailure {
    /// The exception that stands for a failed swap, with what programs want to know of it among its keyword arguments.
    func failure(_ failure: SwapFailure, task: String?) -> RemoteFailure {
        let reason = Echo.cutWords(of: failure.reason)
        let remote =
            switch failure.kind {
            case .volumeRebaseFailed: volumeRebaseFailed(reason: reason)
            case .instanceNotFound: instanceNotFound(instanceID: reason)
            case .instanceNotRunning: instanceNotRunning(instanceID: reason)
            case .diskNotFound: diskNotFound(location: reason)
            case .invalidInput: invalidInput(reason: reason)
            case .invalidVolume: invalidVolume(reason: reason)
            }
        return remote.adding([
            "task_id": task.map { .string($0) } ?? .null,
            "reason_code": .string(failure.code.rawValue),
            "retryable": .bool(failure.code.isRetryable),
            "in_use": .string((failure.inUse ?? .unknown).rawValue),
            "left_behind": .array(failure.leftBehind.map { .string(Echo.cutWords(of: $0)) }),
        ])
    }
}

extension SwapQuery {
    /// The arguments of `list_swaps`.
    init(args: JSONObject) throws(SwapFailure) {
        self.init()
        if let instance = args["instance"], !instance.isNull { instanceKey = try InstanceReference(json: instance).key }
        if let value = args["states"], !value.isNull {
            let texts = (value.arrayValue ?? [value]).map(\.stringValue)
            guard texts.allSatisfy({ $0.map(SwapPhase.publicStates.contains) ?? false }) else {
                throw .invalidInput("states: must be among \(SwapPhase.publicStates.joined(separator: ", "))")
            }
            states = Set(texts.compactMap { $0 })
        }
        if let value = args["limit"], !value.isNull {
            guard let number = value.wholeValue, (1...10_000).contains(number) else {
                throw .invalidInput("limit: must be an integer from 1 to 10000")
            }
            limit = Int(number)
        }
    }
}
