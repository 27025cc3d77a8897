import Basics
import Dispatch
import Glibc
import JSON
import Synchronization

/// Writes a capture file. Each message is handed to the kernel before ``write(_:)`` returns, so a kill loses none.
///
/// A name that ends in `.gz` is compressed; a kill leaves the file without its trailer, but with all messages.
package final class CaptureWriter: Sendable {
    private struct State: ~Copyable {
        let file: CInt
        /// nil if the file is not compressed.
        let gzip: GzipEncoder?
        /// Why nothing more can be written; the file may then end within a message.
        var failure: CaptureError?
        var isClosed = false
        /// Messages written to the file.
        var stored = 0

        /// Hands a message to the kernel.
        mutating func write(_ bytes: [UInt8], _ name: String) throws(CaptureError) {
            if let failure { throw failure }
            guard !isClosed else { throw CaptureError(.file, "the file is closed") }
            try store(gzip?.compress(bytes) ?? bytes, name)
            stored += 1
        }

        mutating func close(_ name: String) throws(CaptureError) {
            guard !isClosed else { return }
            isClosed = true
            let isWhole = failure == nil
            if isWhole { try? store(gzip?.finish() ?? [], name) }
            let status = Glibc.close(file)
            if isWhole, let failure { throw failure }
            guard status == 0 else { throw CaptureError(.file, "\(name): \(lastSystemError())") }
        }

        private mutating func store(_ bytes: [UInt8], _ name: String) throws(CaptureError) {
            let error = writeAll(bytes, to: file)
            guard error != 0 else { return }
            let reason = error == EPIPE ? "its reader has ended" : unsafe String(cString: strerror(error))
            let failure = CaptureError(
                error == EPIPE ? .readerGone : .file,
                "\(name): \(reason); \(stored == 1 ? "1 message is" : "\(stored) messages are") in it")
            self.failure = failure
            throw failure
        }
    }

    /// The name of a path in messages.
    package static func name(path: String) -> String { path == "-" ? "standard output" : path }

    /// The file's name in messages.
    package let name: String
    private let queue = DispatchQueue(label: "capture writer")
    private let state: Mutex<State>

    /// - Parameter path: Created with access for its owner only, or emptied; `-` is standard output.
    /// - Throws: ``CaptureError`` if it cannot be opened.
    package init(path: String) throws(CaptureError) {
        name = Self.name(path: path)
        // Without O_NONBLOCK this would wait for a named pipe's reader, uninterruptible by signals.
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK
        let file = path == "-" ? fcntl(1, F_DUPFD_CLOEXEC, 3) : unsafe open(path, flags, 0o600)
        guard file >= 0 else {
            throw CaptureError(
                .file, "\(name): \(errno == ENXIO ? "nobody reads this pipe; start its reader first" : lastSystemError())")
        }
        if path != "-" { _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) & ~O_NONBLOCK) }
        do {
            state = Mutex(State(file: file, gzip: path.hasSuffix(".gz") ? try GzipEncoder() : nil))
        } catch {
            _ = Glibc.close(file)
            throw error
        }
    }

    deinit { state.withLock { state in if !state.isClosed { _ = Glibc.close(state.file) } } }

    /// Appends a message.
    ///
    /// - Throws: ``CaptureError`` `file`, for example if the disk is full; `readerGone` for a pipe without a reader.
    package func write(_ line: CaptureLine) async throws(CaptureError) {
        var bytes = line.json.serializedBytes()
        bytes.append(0x0a)
        let text = bytes
        try await perform { [name] state throws(CaptureError) in try state.write(text, name) }
    }

    /// Ends the file.
    ///
    /// - Throws: ``CaptureError`` if its end cannot be written; an error that ``write(_:)`` has thrown is not repeated.
    package func close() async throws(CaptureError) {
        try await perform { [name] state throws(CaptureError) in try state.close(name) }
    }

    /// Runs the work on a thread that may block.
    private func perform(_ work: @escaping @Sendable (inout State) throws(CaptureError) -> Void) async throws(CaptureError) {
        try await queue.run { [self] in
            state.withLock { state in Result { () throws(CaptureError) in try work(&state) } }
        }.get()
    }
}
