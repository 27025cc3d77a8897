import BulkMove
import Foundation
import JSON

/// The file of `--report`: replaced as a whole whenever something has changed, at most once a second.
final class MoveReportFile {
    private static let interval = Duration.seconds(1)

    private let url: URL
    private var written: (content: String, at: ContinuousClock.Instant)?
    /// Why the file is not up to date; nil if it is.
    private(set) var failure: CommandFailure?

    /// Writes nothing yet: a report of an earlier run stays until there is something to say.
    ///
    /// - Throws: ``CommandFailure`` with status `usage` if the file cannot be written.
    init(_ path: String) throws {
        url = URL(fileURLWithPath: path).resolvingSymlinksInPath()
        let directory = url.deletingLastPathComponent().path
        guard FileManager.default.isWritableFile(atPath: directory) else {
            throw CommandFailure(.usage, "--report: \(directory) is not a directory that can be written to")
        }
        let type = (try? FileManager.default.attributesOfItem(atPath: url.path))?[.type] as? FileAttributeType
        guard type == nil || type == .typeRegular else { throw CommandFailure(.usage, "--report: \(path) is not a regular file") }
    }

    /// Whether it is this file.
    func isFile(_ path: String) -> Bool { URL(fileURLWithPath: path).resolvingSymlinksInPath() == url }

    func write(_ entries: [MoveEntry], isLast: Bool) {
        if let written, !isLast, .now - written.at < Self.interval { return }
        let content = entries.map { JSONValue.object($0.report).serialized() + "\n" }.joined()
        guard content != written?.content || failure != nil else { return }
        do {
            try Data(content.utf8).write(to: url, options: .atomic)
            failure = nil
        } catch {
            failure = CommandFailure(.failure, "--report: \(url.path): cannot be written")
        }
        written = (content, .now)
    }
}
