package import JSON

/// A task as `get_swap` shows it, as far as it decides how a move goes on.
package struct MoveStatus: Sendable, Hashable {
    /// `queued` to `finishing`; in the end `completed`, `failed` or `aborted`.
    package let state: String
    /// The cause of a failure.
    package let reasonCode: String?
    /// The volume that the VM runs on: `old`, `new`, `unknown` or `none`; nil until the outcome determines it.
    package let inUse: String?
    /// The failure's message, for an operator.
    package let message: String?
    /// Problems that did not fail the swap, for an operator.
    package let warnings: [String]
    /// Whether the same request may succeed later without anything being changed.
    package let isRetryable: Bool
    /// Whether something could not be undone.
    package let leavesSomethingBehind: Bool
    /// Whether the worker's hypervisor is a simulated one, which moves nothing.
    package let isDryRun: Bool

    /// - Parameter json: what `get_swap` returned.
    package init(_ json: JSONValue) {
        let details = json["failure"]?["kwargs"]
        state = json["state"]?.stringValue ?? "unknown"
        reasonCode = json["reason_code"]?.stringValue
        inUse = json["in_use"]?.stringValue
        message = json["failure"]?["message"]?.stringValue
        warnings = json["result"]?["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? []
        isRetryable = details?["retryable"]?.boolValue ?? false
        isDryRun = json["hypervisor"]?.stringValue == "dry-run"
        // What cannot be read counts as something: a volume may be in use.
        leavesSomethingBehind = details?["left_behind"]?.arrayValue.map { !$0.isEmpty } ?? true
    }

    /// Whether the task has ended.
    package var isFinal: Bool { isSuccess || state == "failed" || state == "aborted" }
    /// Whether it has failed, though its rollback goes on.
    package var isRollingBack: Bool { !isFinal && reasonCode != nil }
    /// Whether the disk has moved.
    package var isSuccess: Bool { state == "completed" }
}

/// Why a line is not carried out: what `check_swap` found, or that nobody answers.
package struct MoveRefusal: Sendable, Hashable {
    /// The failure's code; nil without an answer.
    package let reasonCode: String?
    /// The volume that the VM runs on; nil without an answer.
    package let inUse: String?
    /// For an operator.
    package let message: String

    /// Nobody answers.
    package init(message: String) { (self.reasonCode, self.inUse, self.message) = (nil, nil, message) }

    /// The token of a line belongs to another swap.
    package static let otherSwap = MoveRefusal(
        reasonCode: "invalid_argument", inUse: nil, message: "the request_token belongs to another swap")

    private init(reasonCode: String?, inUse: String?, message: String) {
        (self.reasonCode, self.inUse, self.message) = (reasonCode, inUse, message)
    }

    /// - Parameter check: what `check_swap` returned.
    /// - Returns: nil if the swap is acceptable.
    package init?(check: JSONValue) {
        if check["acceptable"]?.boolValue == true { return nil }
        let failure = check["failure"]
        let details = failure?["kwargs"]
        self.init(
            reasonCode: details?["reason_code"]?.stringValue, inUse: details?["in_use"]?.stringValue,
            message: failure?["message"]?.stringValue ?? "the worker gave no reason")
    }
}
