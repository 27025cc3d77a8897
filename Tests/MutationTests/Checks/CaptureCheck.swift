import Foundation
import JSON

@testable import Capture

/// Whether a capture file of any content is read to its end, each entry in its place, a message or a reason.
struct CaptureCheck: ~Copyable {
    private let directory: String

    init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "pivotd-mutations-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// What is wrong with how the bytes are read, and how many messages and broken lines they are.
    func outcome(of bytes: [UInt8]) async throws -> (messages: Int, broken: Int, faults: [String]) {
        let path = "\(directory)/capture.jsonl"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let reader: CaptureReader
        do {
            reader = try CaptureReader(path: path)
        } catch {
            return (0, 1, error.description.isEmpty ? ["an error without a text"] : [])
        }
        var (messages, broken, faults, last) = (0, 0, [String](), 0)
        var text = MessageText(showsContexts: true)
        while let entry = try await reader.next() {
            switch entry {
            case .broken(let location, let reason):
                broken += 1
                if reason.isEmpty || reason.contains(Corpus.secret) { faults.append("line \(location.line): '\(reason)'") }
                if location.line < last { faults.append("line \(location.line) after \(last)") }
                last = location.line
            case .message(let line, let location):
                messages += 1
                if location.line < last { faults.append("line \(location.line) after \(last)") }
                last = location.line
                faults += Self.faults(of: line, &text).map { "line \(location.line): \($0)" }
            }
        }
        if last > bytes.count { faults.append("more lines than bytes") }
        return (messages, broken, faults)
    }

    /// Whether a line can be shown, and written and read again.
    private static func faults(of line: CaptureLine, _ text: inout MessageText) -> [String] {
        var faults: [String] = []
        if text.block(line, number: 1).isEmpty { faults.append("shown as nothing") }
        let json = line.json
        guard let parsed = try? JSONValue(parsing: json.serialized()), let again = try? CaptureLine.read(parsed).line else {
            return faults + ["cannot be read again"]
        }
        if again.json != json { faults.append("written and read again it is another message") }
        return faults
    }
}
