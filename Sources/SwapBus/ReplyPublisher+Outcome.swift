import JSON
package import OsloMessaging
package import VolumeSwap

extension ReplyAddress {
    /// The address of a journaled task's reply.
    package init(_ replyTo: ReplyTo) {
        self.init(messageID: replyTo.messageID, replyQueue: replyTo.queue, timeout: replyTo.timeout)
    }
}

extension ReplyPublisher {
    /// Sends a task's final reply, with the same body each time.
    ///
    /// - Returns: false if it is still owed.
    package func deliver(_ record: SwapRecord, _ replyTo: ReplyTo, _ outcome: SwapOutcome, failures: NovaFailure) async -> Bool {
        let result: Result<JSONValue, RemoteFailure> =
            switch outcome {
            case .success(let result): .success(result.json)
            case .failure(let failure): .failure(failures.failure(failure, task: record.id.text))
            }
        switch await send(result: result, to: ReplyAddress(replyTo), uniqueID: UniqueID.derived(from: "outcome \(record.id)")) {
        case .confirmed, .gaveUp: return true
        case .interrupted: return false
        }
    }
}
