package import Foundation
package import JSON

/// How a task ended: its one outcome.
package enum SwapOutcome: Sendable, Hashable {
    case success(SwapResult)
    case failure(SwapFailure)

    package var phase: SwapPhase {
        switch self {
        case .success: .completed
        case .failure(let failure): failure.isAbort ? .aborted : .failed
        }
    }
}

/// Where the answer of a call goes: oslo.messaging's `_msg_id`, `_reply_q` and `_timeout`.
package struct ReplyTo: Sendable, Hashable, Codable {
    package var messageID: String
    package var queue: String
    /// Seconds between which the caller wants to hear that the call is alive (`call_monitor_timeout`).
    package var timeout: Double?

    package init(messageID: String, queue: String, timeout: Double?) {
        self.messageID = messageID
        self.queue = queue
        self.timeout = timeout
    }
}

/// One task as the journal holds it.
package typealias SwapRecord = Shared<SwapRecordFacts>

extension SwapRecord {
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

/// What a ``SwapRecord`` says. Holds credentials: its printed form is an outline.
package struct SwapRecordFacts: Sendable, CustomStringConvertible, CustomReflectable {
    package var id: TaskID
    /// The instance's ordering key; empty when the arguments name none.
    package var instanceKey: String
    package var disk: String
    /// The `args` of the message. Secrets leave it when the outcome has been delivered.
    package var args: JSONObject
    /// oslo's request context, for notifications.
    package var context: JSONObject
    /// nil for a cast.
    package var replyTo: ReplyTo?
    /// Counts the arrivals of this process: side by side, tasks may be written in another order. 0 where it is not known.
    package var arrival: UInt64 = 0
    package var acceptedAt: Date
    package var startedAt: Date?
    package var finishedAt: Date?
    package var phase: SwapPhase
    /// What recovery needs beside the phase; nil before `preparing` is over.
    package var plan: SwapPlan?
    package var outcome: SwapOutcome?
    /// True once the final reply was confirmed by the broker or given up, or when there is none to send.
    package var isReplied: Bool

    /// True once nothing is left to be done but to deliver the outcome. One that was told before its roll-back was over is not enough.
    package var isOver: Bool { phase.isFinal }

    package var description: String { "task \(id) of disk \(disk), \(phase.rawValue)" }
    package var customMirror: Mirror { Mirror(self, children: ["task": description]) }
}
