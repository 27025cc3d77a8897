import Foundation

/// A path in the temporary directory; the file is gone after the test.
final class TemporaryFile {
    let path: String

    init(_ name: String = "capture.jsonl", _ text: String? = nil) throws {
        let directory = NSTemporaryDirectory() + "pivotd-capture-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        path = "\(directory)/\(name)"
        if let text { try Data(text.utf8).write(to: URL(fileURLWithPath: path)) }
    }

    var contents: Data { FileManager.default.contents(atPath: path) ?? Data() }

    deinit { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
}
