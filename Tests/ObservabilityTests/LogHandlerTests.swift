import Foundation
import Logging
import Testing

@testable import Observability

@Suite struct LogHandlerTests {
    /// Lines written to a pipe.
    func lines(_ write: (LogOutput) -> Void) throws -> [String] {
        let pipe = Pipe()
        let output = LogOutput(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        write(output)
        output.flush(within: .seconds(60))
        try pipe.fileHandleForWriting.close()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(text.isEmpty || text.hasSuffix("\n"))
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    @Test func textLinesCannotBeForged() throws {
        let lines = try lines { output in
            var logger = Logger(label: "test") {
                LineLogHandler(label: $0, format: .text, threshold: LogThreshold(.info), output: output)
            }
            logger[metadataKey: "zone"] = "b"
            logger[metadataKey: "disk"] = "vdb"
            logger.info("one\ntwo\u{1B}[31m", metadata: ["task_id": "t 1", "a": "x\"y\\z\r\n", "empty": ""])
            logger.debug("not shown")
        }
        let line = try #require(lines.first)
        #expect(lines.count == 1)
        #expect(
            line.dropFirst(25) == #"info one\ntwo\u{1b}[31m task_id="t 1" disk=vdb a="x\"y\\z\r\n" empty="" zone=b"#)
    }

    @Test func jsonLinesAreObjects() throws {
        let lines = try lines { output in
            let logger = Logger(label: "test") {
                LineLogHandler(label: $0, format: .json, threshold: LogThreshold(.trace), output: output)
            }
            logger.warning(
                "say \"hi\"\n\u{2028}é\u{0}",
                metadata: [
                    "instance": "i", "task_id": "t", "message": "mine", "list": ["a", ["k": "v"]], "count": .stringConvertible(3),
                    "flag": .stringConvertible(true), "ratio": .stringConvertible(Double.nan),
                ])
        }
        let line = try #require(lines.first)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["message"] as? String == "say \"hi\"\n\u{2028}é\u{0}")
        #expect(object["metadata_message"] as? String == "mine")
        #expect(object["level"] as? String == "warning")
        #expect(object["logger"] as? String == "test")
        #expect(object["count"] as? Int == 3)
        #expect(object["flag"] as? Bool == true)
        #expect(object["ratio"] as? String == "nan")
        #expect((object["list"] as? [Any])?.first as? String == "a")
        #expect(line.contains(#""task_id":"t","instance":"i","count":3"#))
        #expect(!line.contains("\u{2028}"))
    }

    @Test func eventMetadataWinsOverTheProviders() throws {
        let lines = try lines { output in
            let provider = Logger.MetadataProvider { ["a": "provider", "b": "provider"] }
            var logger = Logger(label: "test") {
                LineLogHandler(
                    label: $0, format: .text, threshold: LogThreshold(.info), output: output, metadataProvider: provider)
            }
            logger[metadataKey: "b"] = "logger"
            logger[metadataKey: "c"] = "logger"
            logger.info("m", metadata: ["a": "event"])
        }
        #expect(lines.first?.hasSuffix(" m a=event b=provider c=logger") == true)
    }

    @Test func linesOfManyTasksStayWhole() async throws {
        let path = NSTemporaryDirectory() + "pivotd-log-" + UUID().uuidString
        #expect(FileManager.default.createFile(atPath: path, contents: nil))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try #require(FileHandle(forWritingAtPath: path))
        let output = LogOutput(descriptor: file.fileDescriptor)
        let long = String(repeating: "x", count: 10_000)
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<5 { output.write(long) } }
            }
        }
        output.flush(within: .seconds(60))
        let lines = try Data(contentsOf: URL(fileURLWithPath: path)).split(separator: UInt8(ascii: "\n"))
        #expect(lines.count == 40)
        #expect(lines.allSatisfy { $0 == Data(long.utf8) })
    }

    @Test func aReaderThatStallsHoldsNobodyUp() throws {
        let pipe = Pipe()
        let output = LogOutput(descriptor: pipe.fileHandleForWriting.fileDescriptor, capacity: 1 << 16)
        output.describeLosses { "missing: \($0)" }
        // Several times what the pipe and the buffer hold: with a write that waits this would never end.
        let line = String(repeating: "x", count: 999)
        for _ in 0..<1000 { output.write(line) }
        #expect(output.dropped > 0)

        // Losses are said once there is room again, which on a busy machine is more than once.
        var text = ""
        var (written, said) = (0, 0)
        while written + said < 1000 {
            text += String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
            guard text.hasSuffix("\n") else { continue }
            let lines = text.split(separator: "\n")
            written = lines.count { $0 == line }
            let losses = lines.filter { $0 != line }
            said = losses.compactMap { Int($0.dropFirst("missing: ".count)) }.reduce(0, +)
            #expect(losses.allSatisfy { $0.hasPrefix("missing: ") })
        }
        #expect(said == output.dropped)
        #expect(written + said == 1000)
    }

    @Test func theLevelOfAllLoggersCanBeChanged() throws {
        let threshold = LogThreshold(.info)
        let lines = try lines { output in
            let logger = Logger(label: "test") { LineLogHandler(label: $0, format: .text, threshold: threshold, output: output) }
            var own = logger
            own.logLevel = .error
            logger.debug("one")
            threshold.set(.debug)
            logger.debug("two")
            own.debug("three")
        }
        #expect(lines.map { $0.suffix(3) } == ["two"])
    }
}
