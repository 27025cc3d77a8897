/// The metadata keys of pivotd's log lines.
package enum LogKey {
    /// The task of the swap.
    package static let taskID = "task_id"
    /// The UUID of the domain.
    package static let instance = "instance"
    /// The target of the disk: `vdb`.
    package static let disk = "disk"
    /// The id of the caller's own request, from oslo's context.
    package static let requestID = "request_id"
    /// The error that a line is about.
    package static let error = "error"
    /// How many lines or messages were dropped.
    static let dropped = "dropped"

    /// The keys that come first in a line, in this order.
    static let first = [taskID, instance, disk, requestID]
}
