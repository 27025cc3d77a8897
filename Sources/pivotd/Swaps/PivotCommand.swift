import ArgumentParser
import Basics
import JSON

/// `pivotd pivot`: lets held swaps pivot.
struct PivotCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pivot",
        abstract: "Let swaps that are held in step pivot.",
        discussion: """
            Several disks of one instance pivot as one group: the guest is paused for the moment, so that the old volumes are one \
            consistent point in time. Several instances pivot one after another.

            Prints each task and its state once all are pivoting. Fails, and pivots none, if one is not held; fails if a group could not \
            be pivoted: then its disks stay held.
            """)

    @Argument(help: TaskName.help)
    var tasks: [TaskName]

    @OptionGroup var reply: ReplyOptions
    @OptionGroup var options: ClientOptions

    func run() async throws {
        let configuration = try options.load()
        // The worker waits for 45 s at most.
        let reply = reply.lasting(60)
        let answer = try await BusSession.with(configuration, timeout: reply.duration) { session in
            var ids: [JSONValue] = []
            for task in tasks { ids.append(.string(try await task.resolved(session, reply))) }
            return try await reply.call("pivot_swap", ["task_ids": .array(ids)], session)
        }
        for swap in answer["swaps"]?.arrayValue ?? [] {
            let task = swap["task_id"]?.stringValue ?? "?"
            StandardStream.output.write(line: "\(task.escapingControls): \(SwapState(swap).name)")
        }
    }
}
