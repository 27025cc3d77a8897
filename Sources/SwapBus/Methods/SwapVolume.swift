import Foundation
import JSON
package import OsloMessaging
package import VolumeSwap

/// `swap_volume`, which is stored first and answered when it ends.
struct SwapVolume {
    static let name = "swap_volume"
    /// The task that it becomes.
    let record: SwapRecord
    /// Why it cannot be a swap of any instance, if so.
    let refusal: SwapFailure?

    /// - Parameter defaults: the options that the request does not name.
    init(_ request: RPCRequest, defaults: SwapOptions) {
        refusal = Self.refusal(of: request, defaults)
        record = Self.record(request, isRefused: refusal != nil)
    }

    private static func refusal(of request: RPCRequest, _ defaults: SwapOptions) -> SwapFailure? {
        do throws(SwapFailure) {
            _ = try SwapRequest(args: request.args, defaults: defaults)
            return nil
        } catch {
            return error
        }
    }

    static func record(_ request: RPCRequest, isRefused: Bool = false) -> SwapRecord {
        let token = (try? SwapRequest.token(request.args)) ?? nil
        let id = token ?? TaskID(uniqueID: request.uniqueID, messageID: request.messageID) ?? TaskID(UniqueID.random())
        let instance = try? InstanceReference(json: request.args["instance"])
        let disk = try? SwapRequest.disk(mountpoint: request.args["mountpoint"])
        let key = isRefused ? instance?.refusedKey : instance?.key
        let replyTo = request.replyAddress.map { ReplyTo(messageID: $0.messageID, queue: $0.replyQueue, timeout: $0.timeout) }
        return SwapRecord(
            id: id, instanceKey: key ?? "task:\(id)", disk: disk ?? "", args: request.args, context: request.context,
            replyTo: replyTo, acceptedAt: .now)
    }
}

extension ReplyAddress {
    /// The address of a journaled task's reply.
    package init(_ replyTo: ReplyTo) {
        self.init(messageID: replyTo.messageID, replyQueue: replyTo.queue, timeout: replyTo.timeout)
    }
}

/// A task's final reply: to one call with the same body and id each time, which its client drops as a duplicate. Another call for the same
/// task, perhaps of the same client, gets an id of its own.
struct SwapReply {
    let result: Result<JSONValue, RemoteFailure>
    let uniqueID: String

    init(_ record: SwapRecord, _ replyTo: ReplyTo, _ outcome: SwapOutcome, _ failures: NovaFailure) {
        result =
            switch outcome {
            case .success(let result): .success(result.json)
            case .failure(let failure): .failure(failures.failure(failure, task: record.id.text, args: record.args))
            }
        uniqueID = UniqueID.derived(from: "outcome \(record.id) \(replyTo.messageID)")
    }
}

extension ReplyPublisher {
    /// Sends a task's final reply.
    ///
    /// - Returns: nil if it is still owed.
    package func deliver(
        _ record: SwapRecord, _ replyTo: ReplyTo, _ outcome: SwapOutcome, failures: NovaFailure
    ) async -> ReplyFate? {
        let reply = SwapReply(record, replyTo, outcome, failures)
        switch await send(result: reply.result, to: ReplyAddress(replyTo), uniqueID: reply.uniqueID) {
        case .confirmed: return .delivered
        case .gaveUp: return .givenUp
        case .interrupted: return nil
        }
    }
}
