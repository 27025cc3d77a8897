import ArgumentParser
import Daemon
import Foundation
import JSON
import Settings

/// `pivotd explain`: what happened to one task.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Show what happened to a swap, and when.",
        discussion: "Asks the worker, or with --state-dir reads its journal, which also works while it is down.")

    @Argument(help: TaskName.help)
    var task: TaskName

    @Option(
        help: ArgumentHelp("Read the journal in this state_dir instead of asking the worker.", valueName: "dir"),
        completion: .directory)
    var stateDir: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var reply: ReplyOptions
    @OptionGroup var options: ClientOptions

    func run() async throws {
        let configuration = try options.load()
        let status =
            if let stateDir {
                try await stored(in: stateDir, failureModule: configuration.bus.failureModule)
            } else {
                try await asked(configuration)
            }
        let columns = StandardStream.output.columns
        StandardStream.output.write(
            line: json ? status.serialized(indent: 2) : TaskTimeline(status, columns: columns, now: .now).text)
    }

    private func asked(_ configuration: PivotdConfiguration) async throws -> JSONValue {
        do {
            return try await BusSession.with(configuration, timeout: reply.duration) { session in
                let id = try await task.resolved(session, reply)
                return try await reply.call("get_swap", ["task_id": .string(id), "history": true], session)
            }
        } catch let failure as CommandFailure where failure.status == .noAnswer {
            throw CommandFailure(
                .noAnswer, "\(failure.message)\non the worker's host, --state-dir DIR reads its journal without it")
        }
    }

    private func stored(in directory: String, failureModule: String) async throws -> JSONValue {
        let tasks: [StoredTask]
        do {
            tasks = try await StoredTask.find(
                idPrefix: task.text, limit: 100, stateDirectory: directory, failureModule: failureModule)
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
        let id = try task.choice(among: tasks.map(\.id))
        return tasks.first { $0.id == id }?.status ?? .null
    }
}
