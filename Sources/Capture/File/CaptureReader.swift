import Foundation
import JSON

/// A message's place in a capture file.
package struct CaptureLocation: Sendable, Hashable, CustomStringConvertible {
    package let file: String
    /// The message's first line, counted from 1.
    package let line: Int

    package var description: String { "\(file):\(line)" }
}

/// A message, or a line that is not a message.
package enum CaptureEntry: Sendable {
    case message(CaptureLine, CaptureLocation)
    /// A line that is not a message, or the point where a compressed file is truncated.
    case broken(CaptureLocation, reason: String)
}

/// Reads a capture file sequentially, in bounded memory.
///
/// It accepts pivotd's own lines, the JSON log of RabbitMQ's tracing plugin, and rabtap's JSON, one message per line or indented
/// over several. Deliveries in a tracing log that also has publishes are skipped: each message counts once.
package actor CaptureReader {
    private nonisolated let source: LineSource
    private let directory: String
    private var lines: ArraySlice<RawLine> = []
    private var isAtEnd = false
    private var document = Document()
    private var hasPublishes = false
    private var lastLine = 0

    /// The lines of an incomplete indented message.
    private struct Document {
        var start = 0
        var bytes: [UInt8] = []
        var isOpen: Bool { !bytes.isEmpty }
    }

    /// - Parameter path: A file, or `-` for standard input; gzip is recognised by its first bytes.
    /// - Throws: ``CaptureError`` if it cannot be opened.
    package init(path: String) throws(CaptureError) {
        source = try LineSource(path: path)
        directory = (path as NSString).deletingPathExtension
    }

    /// The file's name in messages.
    package nonisolated var name: String { source.name }
    /// The fraction of the file that has been read, from 0 to 1; nil for a pipe.
    package nonisolated var fraction: Double? {
        guard let size = source.size, size > 0 else { return nil }
        return min(1, Double(source.position) / Double(size))
    }

    /// The next message or broken line; nil at the end.
    ///
    /// - Throws: ``CaptureError`` `file` if reading fails.
    package func next() async throws(CaptureError) -> CaptureEntry? {
        while let line = try await nextLine() {
            lastLine = line.number
            if let entry = take(line) { return entry }
        }
        if document.isOpen { return abandonDocument() }
        return try await damage()
    }

    private func nextLine() async throws(CaptureError) -> RawLine? {
        if lines.isEmpty, !isAtEnd {
            do {
                lines = try await source.next()[...]
            } catch  where error.code == .compression {
                isAtEnd = true
                damageReason = error.description
                return nil
            }
            isAtEnd = lines.isEmpty
        }
        return lines.popFirst()
    }

    private var damageReason: String?

    private func damage() async throws(CaptureError) -> CaptureEntry? {
        guard let reason = damageReason else { return nil }
        damageReason = nil
        return .broken(CaptureLocation(file: name, line: lastLine + 1), reason: reason)
    }

    private func take(_ line: RawLine) -> CaptureEntry? {
        let location = CaptureLocation(file: name, line: line.number)
        guard var bytes = line.bytes else {
            return .broken(location, reason: "the line is longer than \(LineSource.maximumLine >> 20) MiB")
        }
        if line.number == 1, bytes.starts(with: Self.byteOrderMark) { bytes.removeFirst(Self.byteOrderMark.count) }
        if document.isOpen {
            // An indented message begins and ends in the first column; anything else there begins the next message.
            if bytes.first != UInt8(ascii: "{") { return continueDocument(bytes) }
            lines = [line] + lines
            return abandonDocument()
        }
        guard bytes.contains(where: { $0 > 0x20 }) else { return nil }
        if bytes.first == UInt8(ascii: "{"), !bytes.dropFirst().contains(where: { $0 > 0x20 }) {
            document = Document(start: line.number, bytes: bytes)
            return nil
        }
        return read(bytes, location)
    }

    /// Some editors write this before UTF-8.
    private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

    private func continueDocument(_ bytes: [UInt8]) -> CaptureEntry? {
        guard document.bytes.count + bytes.count <= LineSource.maximumLine else { return abandonDocument() }
        document.bytes += bytes
        document.bytes.append(0x0a)
        guard bytes.first == UInt8(ascii: "}") else { return nil }
        defer { document = Document() }
        return read(document.bytes, CaptureLocation(file: name, line: document.start))
    }

    private func abandonDocument() -> CaptureEntry {
        defer { document = Document() }
        return .broken(CaptureLocation(file: name, line: document.start), reason: "the message that begins here is incomplete")
    }

    private func read(_ bytes: [UInt8], _ location: CaptureLocation) -> CaptureEntry? {
        do {
            let (line, dialect) = try CaptureLine.read(try JSONValue(parsing: bytes))
            switch dialect {
            case .tracing(isDelivery: false): hasPublishes = true
            case .tracing(isDelivery: true): if hasPublishes { return nil }
            case .rabtap: return .message(withBody(line), location)
            case .pivotd: break
            }
            return .message(line.traced ?? line, location)
        } catch let error as JSONError {
            return .broken(location, reason: "is not JSON: \(error)")
        } catch {
            return .broken(location, reason: "\(error)")
        }
    }

    /// rabtap's raw format keeps the body in `NAME.dat` beside `NAME.json`.
    private func withBody(_ line: CaptureLine) -> CaptureLine {
        guard line.body == .bytes([]), let data = FileManager.default.contents(atPath: directory + ".dat") else { return line }
        var line = line
        line.body = CaptureLine.Body([UInt8](data))
        return line
    }
}
