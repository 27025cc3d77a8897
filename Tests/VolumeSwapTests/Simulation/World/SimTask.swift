import Foundation
import JSON

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
    /// Whether the plain swap must succeed if nothing goes wrong.
    let isPlain: Bool

    var id: TaskID { TaskID("task-\(number)") }
    var replyTo: ReplyTo? { isCall ? ReplyTo(messageID: "m-\(number)", queue: "reply", timeout: nil) : nil }

    /// Whether it stays in step until `pivot_swap`.
    var isHeld: Bool { args["options"]?["hold"]?.boolValue ?? false }
    /// The group in which it was pivoted, and the number of the guest's writes then.
    var pivoted: (group: [TaskID], write: Int)?
    /// Whether its guest outruns its copy, which `convergence` has to notice.
    var isOutrun = false
    /// Whether its copy was begun with synchronous writes.
    var hasConverged = false
    /// Whether a pivot has moved its disk onto its new volume since.
    var hasMoved = false
    /// The volume that the disk was on when its copy began; any volume with the old one's serial counts as the old one.
    var source: SimVolume?
    var outcome: SwapOutcome?
    var decidedAt: SimLoop.Time?
    var repliedAt: SimLoop.Time?
    /// Since when its copy has stalled, and when it must have been answered for that.
    var answerBy: (from: SimLoop.Time, SimLoop.Time)?
    /// Time of an accepted `abort_swap`, which outlives the pivotd that accepted it.
    var abortedAt: SimLoop.Time?

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

    /// Its caller has changed its mind and never sends it.
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

    /// The task as the endpoint reads it from the message.
    func record(at date: Date, replyTo: ReplyTo?) -> SwapRecord {
        let instance = try? InstanceReference(json: args["instance"])
        let key = refusal == nil ? instance?.key : instance?.refusedKey
        return SwapRecord(
            id: id, instanceKey: key ?? "task:\(id)", disk: disk, args: args, replyTo: replyTo, acceptedAt: date)
    }
}
