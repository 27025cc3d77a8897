import ArgumentParser
import Basics
import JSON

/// `pivotd abort`: ends a swap that has not pivoted.
struct AbortCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "abort",
        abstract: "Abort a swap; the virtual machine stays on its current volume.",
        discussion: "Fails if the swap has already pivoted or ended.")

    @Argument(help: TaskName.help)
    var task: TaskName

    @OptionGroup var reply: ReplyOptions
    @OptionGroup var options: ClientOptions

    func run() async throws {
        let configuration = try options.load()
        // The worker may wait for its disk.
        let reply = reply.lasting(30)
        let (task, answer) = try await BusSession.with(configuration, timeout: reply.duration) { session in
            let task = try await self.task.resolved(session, reply)
            return (task, try await reply.call("abort_swap", ["task_id": .string(task)], session))
        }
        let state = SwapState(answer)
        let isOver = state.isFinal || state.name.isEmpty
        StandardStream.output.write(line: "\(task.escapingControls): \(isOver ? "aborted" : "is being aborted (\(state.name))")")
    }
}
