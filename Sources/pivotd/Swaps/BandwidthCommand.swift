import ArgumentParser
import Basics
import JSON

/// `pivotd bandwidth`: changes the bandwidth limit of a running copy.
struct BandwidthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bandwidth", abstract: "Change the bandwidth limit of a swap while it copies.")

    @Argument(help: TaskName.help)
    var task: TaskName

    @Argument(help: ArgumentHelp("MiB/s; 0 for no limit.", valueName: "mib"))
    var bandwidth: Int64

    @OptionGroup var reply: ReplyOptions
    @OptionGroup var options: ClientOptions

    func validate() throws {
        guard bandwidth >= 0 else { throw ValidationError("the bandwidth must not be negative") }
    }

    func run() async throws {
        let configuration = try options.load()
        let task = try await BusSession.with(configuration, timeout: reply.duration) { session in
            let task = try await self.task.resolved(session, reply)
            _ = try await reply.call(
                "set_bandwidth", ["task_id": .string(task), "bandwidth_mib_s": .integer(bandwidth)], session)
            return task
        }
        let limit = bandwidth == 0 ? "no limit" : "\(bandwidth) MiB/s"
        StandardStream.output.write(line: "\(task.escapingControls): \(limit)")
    }
}
