import ArgumentParser
import Basics
import Capture
import JSON

/// `pivotd decode`: shows captured messages.
struct DecodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "decode",
        abstract: "Print captured messages readably: envelopes opened, contexts folded, secrets masked.",
        discussion: "The exit code is 1 if a line could not be read.")

    @OptionGroup var input: CaptureFileArguments

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @Flag(help: "Print request contexts in full.")
    var contexts = false

    @Option(
        name: .customLong("config"),
        help: ArgumentHelp("Taken as by every command, and not read: decode has no settings.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var config: String?

    func run() async throws {
        let filters = try input.parsedFilters()
        var text = MessageText(showsContexts: contexts)
        var number = 0
        var broken = 0
        reading: for reader in try input.open() {
            while let entry = try await next(reader) {
                switch entry {
                case .broken(let location, let reason):
                    broken += 1
                    StandardStream.error.write(line: "\(location): \(reason)".escapingControls)
                    if input.strict { break reading }
                case .message(let line, _):
                    guard filters.isEmpty || filters.allSatisfy({ $0.matches(line, CapturedMessage(line)) }) else { continue }
                    number += 1
                    StandardStream.output.write(
                        json ? text.json(line).serialized() + "\n" : text.block(line, number: number) + "\n\n")
                    if number == input.limit || StandardStream.outputFailure != nil { break reading }
                }
            }
        }
        if broken > 0 {
            throw CommandFailure(.failure, "\(Quantity.count(broken, "line")) could not be read")
        }
    }

    private func next(_ reader: CaptureReader) async throws -> CaptureEntry? {
        do {
            return try await reader.next()
        } catch {
            throw CommandFailure(.failure, "\(error)")
        }
    }
}
