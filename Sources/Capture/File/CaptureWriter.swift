import Dispatch
import Glibc
import JSON
import Synchronization

/// Writes a capture file, and hands each message to the kernel before it returns: a kill leaves a readable file.
///
/// A name that ends in `.gz` is written through a `gzip` child. What it was given it writes out even when pivotd is killed: see
/// ``GzipProcess``. Only with the machine itself, or with gzip, is the last of it lost.
package final class CaptureWriter: Sendable {
    private struct State {
        var descriptor: CInt
        var gzip: GzipProcess?
        var isClosed = false
    }

    package let name: String
    private let queue = DispatchQueue(label: "capture writer")
    private let state: Mutex<State>

    /// - Parameter path: created for its owner only, or emptied; `-` is standard output.
    /// - Throws: ``CaptureError``.
    package init(path: String) throws(CaptureError) {
        name = path == "-" ? "standard output" : path
        guard path != "-" else {
            state = Mutex(State(descriptor: fcntl(1, F_DUPFD_CLOEXEC, 3)))
            return
        }
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw CaptureError(.file, "\(path): \(lastSystemError())") }
        guard path.hasSuffix(".gz") else {
            state = Mutex(State(descriptor: file))
            return
        }
        defer { _ = Glibc.close(file) }
        let pipe = try makePipe()
        defer { _ = Glibc.close(pipe.read) }
        do {
            state = Mutex(State(descriptor: pipe.write, gzip: try GzipProcess(["-c"], input: pipe.read, output: file)))
        } catch {
            _ = Glibc.close(pipe.write)
            throw error
        }
    }

    deinit {
        state.withLock { state in
            if !state.isClosed { _ = Glibc.close(state.descriptor) }
        }
    }

    /// Appends a message.
    ///
    /// - Throws: ``CaptureError`` of code `file`: no space, or nobody reads the pipe any longer.
    package func write(_ line: CaptureLine) async throws(CaptureError) {
        var bytes = line.json.serializedBytes()
        bytes.append(0x0a)
        let text = bytes
        try await perform { [name] state throws(CaptureError) in try Self.write(text, state.descriptor, name) }
    }

    /// Ends the file; of a compressed one waits until gzip has written all of it.
    package func close() async throws(CaptureError) {
        try await perform { [name] state throws(CaptureError) in
            guard !state.isClosed else { return }
            state.isClosed = true
            let status = Glibc.close(state.descriptor)
            guard status == 0 else { throw CaptureError(.file, "\(name): \(lastSystemError())") }
            guard state.gzip?.wait() ?? true else { throw CaptureError(.compression, "\(name): gzip could not write it") }
        }
    }

    /// On a thread that may block.
    private func perform(_ work: @escaping @Sendable (inout State) throws(CaptureError) -> Void) async throws(CaptureError) {
        let result = await withCheckedContinuation { (reply: CheckedContinuation<Result<Void, CaptureError>, Never>) in
            queue.async { [self] in
                reply.resume(
                    returning: state.withLock { state in Result { () throws(CaptureError) in try work(&state) } })
            }
        }
        try result.get()
    }

    private static func write(_ bytes: [UInt8], _ descriptor: CInt, _ name: String) throws(CaptureError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                throw CaptureError(.file, "\(name): \(lastSystemError())")
            }
        }
    }
}
