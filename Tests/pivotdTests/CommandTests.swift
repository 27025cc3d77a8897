import ArgumentParser
import Foundation
import Testing

@testable import pivotd

@Suite struct CommandTests {
    private static let lines = [
        "run", "swap --instance i --disk vdb --old {} --new {}", "move plan", "status", "explain t", "abort t", "bandwidth t 1",
        "pivot t", "pause", "resume", "drain", "doctor", "capture --queue q", "replay file", "decode file",
    ]

    @Test func everyCommandTakesAConfigurationFile() throws {
        var names: Set<String> = []
        for line in Self.lines {
            let words = line.split(separator: " ").map(String.init)
            let command = try Pivotd.parseAsRoot(words + ["--config", "x.yaml"])
            names.insert(type(of: command).configuration.commandName ?? "")
        }
        #expect(names == Set(Pivotd.configuration.subcommands.map { $0.configuration.commandName ?? "" }))
    }

    @Test func eachLineOfHelpIsWholeAndNamesADefaultOnce() {
        for command in Pivotd.configuration.subcommands {
            for line in command.helpMessage(includeHidden: true, columns: 10_000).split(separator: "\n") {
                let (opened, closed) = (line.count { $0 == "(" }, line.count { $0 == ")" })
                let defaults = line.components(separatedBy: "(default").count - 1
                #expect(opened == closed && defaults <= 1, "\(line)")
            }
        }
    }
}
