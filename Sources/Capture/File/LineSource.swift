import Basics
import Dispatch
import Glibc
import Synchronization

/// A raw line of a file.
struct RawLine: Sendable {
    /// Counted from 1.
    let number: Int
    /// Without the line feed; nil for a line longer than ``LineSource/maximumLine``.
    let bytes: [UInt8]?
}

/// Reads a file's lines in pieces, on a thread that may block; never holds the whole file.
final class LineSource: Sendable {
    private static let chunkSize = 256 << 10
    /// Bytes; enough for a body of 64 MiB (pivotd's maximum) in Base64.
    static let maximumLine = 128 << 20

    private struct State: ~Copyable {
        /// nil if the file is not compressed.
        var gzip: GzipDecoder?
        var buffer: [UInt8] = []
        var lineNumber = 0
        var isTooLong = false
        var isAtEnd = false
        var isDamaged = false

        /// Discards the incomplete line before the truncation.
        mutating func cutOff() {
            (isDamaged, isTooLong) = (true, false)
            buffer = []
        }
    }

    let name: String
    /// The file's size in bytes; nil for a pipe.
    let size: Int64?
    /// Its offset shows how much has been read.
    private let file: CInt
    private let queue = DispatchQueue(label: "capture file")
    private let state: Mutex<State>

    /// - Parameter path: A file, compressed or not, or `-` for standard input.
    /// - Throws: ``CaptureError`` `file` if it cannot be opened.
    init(path: String) throws(CaptureError) {
        name = path == "-" ? "standard input" : path
        let file = path == "-" ? fcntl(0, F_DUPFD_CLOEXEC, 3) : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw CaptureError(.file, "\(name): \(lastSystemError())") }
        self.file = file
        var status = stat()
        let isRegular = unsafe fstat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        size = isRegular ? Int64(status.st_size) : nil
        guard status.st_mode & S_IFMT != S_IFDIR else {
            _ = close(file)
            throw CaptureError(.file, "\(name): is a directory")
        }
        do {
            state = Mutex(State(gzip: Self.isCompressed(file, path: path, isRegular: isRegular) ? try GzipDecoder() : nil))
        } catch {
            _ = close(file)
            throw error
        }
    }

    deinit { _ = close(file) }

    /// Bytes of the file read so far.
    var position: Int64 { size == nil ? 0 : Int64(lseek(file, 0, SEEK_CUR)) }

    /// The next lines, at least one; empty at the end.
    ///
    /// - Throws: ``CaptureError``; `compression` after the last line of a truncated or damaged compressed file.
    func next() async throws(CaptureError) -> [RawLine] {
        try await queue.run { [self] in
            state.withLock { state in Result { () throws(CaptureError) in try read(&state) } }
        }.get()
    }

    private static func isCompressed(_ file: CInt, path: String, isRegular: Bool) -> Bool {
        guard isRegular else { return path.hasSuffix(".gz") }
        var start: [UInt8] = [0, 0]
        return unsafe pread(file, &start, 2, 0) == 2 && start == magic
    }

    /// The first bytes of a gzip file.
    private static let magic: [UInt8] = [0x1f, 0x8b]

    private func read(_ state: inout State) throws(CaptureError) -> [RawLine] {
        var lines: [RawLine] = []
        while lines.isEmpty, !state.isAtEnd {
            let start = state.buffer.count
            let bytes = try nextBytes(&state)
            state.buffer += bytes
            if bytes.isEmpty {
                state.isAtEnd = true
                if !state.buffer.isEmpty || state.isTooLong { lines.append(Self.take(&state, state.buffer[...])) }
                state.buffer = []
                continue
            }
            if state.lineNumber == 0, start == 0, state.buffer.starts(with: Self.magic) {
                throw CaptureError(.file, "\(name): is compressed; pipe it through gzip -dc, or give the file by name")
            }
            Self.split(&state, from: start, into: &lines)
        }
        if lines.isEmpty, state.isDamaged {
            state.isDamaged = false
            throw Self.damaged
        }
        return lines
    }

    /// The next decompressed bytes; none at the end, or where the compressed data is truncated or damaged.
    private func nextBytes(_ state: inout State) throws(CaptureError) -> [UInt8] {
        guard state.gzip != nil else { return try readChunk() }
        while true {
            do {
                if let bytes = try state.gzip?.next() { return bytes }
            } catch {
                if error == .damaged { state.cutOff() }
                state.isDamaged = true
                return []
            }
            let chunk = try readChunk()
            guard !chunk.isEmpty else {
                if state.gzip?.isWithinMember == true { state.cutOff() }
                return []
            }
            state.gzip?.feed(chunk)
        }
    }

    private func readChunk() throws(CaptureError) -> [UInt8] {
        while true {
            var count = 0
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: Self.chunkSize) { buffer, initialized in
                unsafe count = Glibc.read(file, buffer.baseAddress, Self.chunkSize)
                initialized = max(0, count)
            }
            if count >= 0 { return chunk }
            guard errno == EINTR else { throw CaptureError(.file, "\(name): \(lastSystemError())") }
        }
    }

    /// Splits the buffer at its line feeds, keeping what follows the last one.
    private static func split(_ state: inout State, from start: Int, into lines: inout [RawLine]) {
        var lineStart = 0
        var scan = start
        while let end = state.buffer.firstLineFeed(from: scan) {
            lines.append(take(&state, state.buffer[lineStart..<end]))
            lineStart = end + 1
            scan = lineStart
        }
        state.buffer.removeFirst(lineStart)
        if state.buffer.count > maximumLine {
            state.isTooLong = true
            state.buffer = []
        }
    }

    private static func take(_ state: inout State, _ bytes: ArraySlice<UInt8>) -> RawLine {
        state.lineNumber += 1
        defer { state.isTooLong = false }
        guard !state.isTooLong else { return RawLine(number: state.lineNumber, bytes: nil) }
        return RawLine(number: state.lineNumber, bytes: Array(bytes.last == 0x0d ? bytes.dropLast() : bytes))
    }

    private static let damaged = CaptureError(
        .compression, "the compressed data is truncated or damaged; everything before that was read")
}

extension [UInt8] {
    fileprivate func firstLineFeed(from start: Int) -> Int? {
        unsafe withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress, start < bytes.count else { return nil }
            return unsafe memchr(base + start, 0x0a, bytes.count - start).map { unsafe UnsafeRawPointer($0) - base }
        }
    }
}

/// The message for `errno`.
func lastSystemError() -> String { unsafe String(cString: strerror(errno)) }
