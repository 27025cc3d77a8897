package import Foundation
package import JSON
package import Logging

/// The one outcome of a task.
package enum SwapOutcome: Sendable, Hashable {
    case success(SwapResult)
    case failure(SwapFailure)

    /// The final phase that goes with the outcome.
    package var phase: SwapPhase {
        switch self {
        case .success: .completed
        case .failure(let failure): failure.isAbort ? .aborted : .failed
        }
    }
}

/// The destination of a call's reply: oslo.messaging's `_msg_id`, `_reply_q` and `_timeout`.
package struct ReplyTo: Sendable, Hashable, Codable {
    /// `_msg_id`, which the reply repeats.
    package var messageID: String
    /// `_reply_q`, the reply's routing key.
    package var queue: String
    /// Seconds within which the caller expects a heartbeat (`call_monitor_timeout`); nil for none.
    package var timeout: Double?

    package init(messageID: String, queue: String, timeout: Double?) {
        self.messageID = messageID
        self.queue = queue
        self.timeout = timeout
    }
}

/// One task as the journal stores it.
package typealias SwapRecord = Shared<SwapRecordFacts>

extension SwapRecord {
    /// A task that has just arrived, in phase `accepted`.
    package init(
        id: TaskID, instanceKey: String, disk: String, args: JSONObject, context: JSONObject = [:], replyTo: ReplyTo?,
        acceptedAt: Date
    ) {
        self.init(
            SwapRecordFacts(
                id: id, instanceKey: instanceKey, disk: disk, args: args, context: context, replyTo: replyTo,
                acceptedAt: acceptedAt, phase: .accepted, isReplied: replyTo == nil))
    }
}

/// The contents of a ``SwapRecord``. Holds credentials, so it prints only as an outline.
package struct SwapRecordFacts: Sendable, CustomStringConvertible, CustomReflectable {
    package var id: TaskID
    /// The key that orders the instance's tasks: its UUID, or `name:NAME`. A request that is refused at once is in no queue: its key
    /// begins with `refused:`, or is `task:ID` if it names no instance.
    package var instanceKey: String
    /// The disk's target; empty if the arguments name no valid one.
    package var disk: String
    /// The message's `args`. Secrets are removed once the outcome is delivered.
    package var args: JSONObject
    /// oslo's request context, for notifications.
    package var context: JSONObject
    /// nil for a cast.
    package var replyTo: ReplyTo?
    /// Other callers that had asked for the same task when it was read; see ``SwapJournal/ask(_:_:)``.
    package var askers: [ReplyTo] = []
    /// Counts arrivals in this process, since tasks that arrive together may be written in a different order; 0 if unknown.
    package var arrival: UInt64 = 0
    /// When the message arrived, by the wall clock.
    package var acceptedAt: Date
    /// When its turn came; nil before.
    package var startedAt: Date?
    /// When its outcome was stored; nil before.
    package var finishedAt: Date?
    package var phase: SwapPhase
    /// The limit that `set_bandwidth` has given its copy since, in MiB/s, 0 for none; nil if it has given none.
    package var bandwidthMiBs: Int64?
    /// Whether its abort was requested before its pivot.
    package var isAbortRequested = false
    /// What recovery needs besides the phase; nil until the preflight is over.
    package var plan: SwapPlan?
    /// How the task ended, or was answered ahead of its end.
    package var outcome: SwapOutcome?
    /// True once the broker has confirmed the final reply, it was given up, or if there is none to send.
    package var isReplied: Bool

    /// Whether only the reply remains to be delivered. An outcome reported before the roll-back was over is not enough.
    package var isOver: Bool { phase.isFinal }

    package var description: String { "task \(id) of disk \(disk), \(phase.rawValue)" }
    package var customMirror: Mirror { Mirror(self, children: ["task": description]) }
}

extension SwapRecordFacts {
    /// The instance's UUID or name, as the request gives it; empty if it names none.
    package var instance: String {
        if let name = InstanceReference.name(ofKey: instanceKey) { return name }
        guard instanceKey.hasPrefix("task:") || InstanceReference.isRefused(key: instanceKey) else { return instanceKey }
        return (try? InstanceReference(json: args["instance"]))?.description ?? ""
    }

    /// The first caller and the later ones.
    var callers: [ReplyTo] { [replyTo].compactMap { $0 } + askers }

    /// The old volume's id, as the request gives it; nil for anything but a string.
    package var oldVolumeID: String? { args["old_volume_id"]?.stringValue.map(Self.cut) }
    /// The new volume's id, as the request gives it; nil for anything but a string.
    package var newVolumeID: String? { args["new_volume_id"]?.stringValue.map(Self.cut) }

    /// Every id that the request gives the new volume.
    var newVolumeIDs: [String] {
        let connection = args["new_connection_info"]
        return [args["new_volume_id"], connection?["serial"], connection?["data"]?["volume_id"]].compactMap { $0?.stringValue }
    }

    /// The new volume under the names that the request itself gives, without asking the host.
    ///
    /// - Parameter mountPointBase: the setting used if connection_info names no `mount_point_base`.
    func newVolume(mountPointBase: String) -> VolumeIdentity {
        let (ids, argument) = (VolumeIdentity(ids: newVolumeIDs), "new_connection_info")
        guard let connection = try? ConnectionInfo(resuming: args[argument], argument: argument) else { return ids }
        let volume = ids.union(connection.identity)
        let target = try? connection.target(mountPointBase: mountPointBase, argument: argument)
        return target?.location.map { volume.union(VolumeIdentity(text: $0)) } ?? volume
    }

    /// The id of the caller's own request, from oslo's context.
    package var requestID: String? { context["request_id"]?.stringValue }

    /// What each log line about the task carries.
    package var logMetadata: Logger.Metadata {
        var metadata: Logger.Metadata = [
            "task_id": "\(id)", "instance": "\(Self.cut(instance))", "disk": "\(Self.cut(disk))",
        ]
        if let requestID { metadata["request_id"] = "\(Self.cut(requestID))" }
        return metadata
    }

    /// The beginning of a string that a client chose.
    private static func cut(_ text: String) -> String {
        text.utf8.count <= 256 ? text : String(text.unicodeScalars.prefix(256))
    }
}
