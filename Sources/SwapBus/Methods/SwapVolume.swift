import Foundation
import JSON
import OsloMessaging
import VolumeSwap

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
        let replyTo = request.replyAddress.map { ReplyTo(messageID: $0.messageID, queue: $0.replyQueue, timeout: $0.timeout) }
        return SwapRecord(
            id: id, instanceKey: isRefused ? "task:\(id)" : instance?.key ?? "task:\(id)", disk: disk ?? "", args: request.args,
            context: request.context, replyTo: replyTo, acceptedAt: .now)
    }
}
