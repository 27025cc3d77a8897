import Foundation
import Logging
import Testing

@testable import Observability

@Suite struct JournalStreamTests {
    @Test func theStreamIsTheOneThatSystemdNames() throws {
        let pipe = Pipe()
        let descriptor = pipe.fileHandleForWriting.fileDescriptor
        var status = stat()
        try #require(fstat(descriptor, &status) == 0)
        func isConnected(_ value: String?) -> Bool {
            JournalStream.isConnected(descriptor, environment: value.map { ["JOURNAL_STREAM": $0] } ?? [:])
        }
        #expect(isConnected("\(status.st_dev):\(status.st_ino)"))
        #expect(!isConnected("\(status.st_dev):\(status.st_ino + 1)"))
        #expect(!isConnected("") && !isConnected(nil))
    }

    @Test func linesBeginWithTheirPriority() {
        var handler = LineLogHandler(label: "test", format: .text, threshold: LogThreshold(.trace))
        handler.hasPriority = true
        func line(_ level: Logger.Level) -> String {
            let event = LogEvent(
                level: level, message: "m", metadata: nil, source: nil, file: #fileID, function: #function, line: #line)
            return handler.line(event, timestamp: "T", metadata: [])
        }
        #expect(
            Logger.Level.allCases.map { line($0) } == [
                "<7>T trace m", "<7>T debug m", "<6>T info m", "<5>T notice m", "<4>T warning m", "<3>T error m",
                "<2>T critical m",
            ])
        handler.hasPriority = false
        #expect(line(.error) == "T error m")
    }
}
