import Dispatch
import Glibc
import JSON
import Synchronization

/// Writes a capture file, and hands each message to the kernel before it returns: a kill leaves a readable file.
///
/// A name that ends in `.gz` is written through `gzip` children, one a second at most, each of which adds a whole member: what was
/// written more than a second ago can be read whatever happens, and when pivotd alone is killed, all of it (``GzipProcess``).
package final class CaptureWriter: Sendable {
    /// How long a member of a compressed file is added to.
    private static let memberTime = DispatchTimeInterval.seconds(1)

    /// A member being written.
    private struct Member {
        let input: CInt
        let gzip: GzipProcess
        var messages = 0
    }

    private struct State {
        let file: CInt
        let isCompressed: Bool
        var member: Member?
        /// Why the last member could not be ended; told at the next write.
        var failure: CaptureError?
        var isClosed = false
        /// Messages that are in the file; of a compressed one, those of members that ended.
        var stored = 0

        /// Where the next message goes.
        mutating func descriptor(onNewMember: () -> Void) throws(CaptureError) -> CInt {
            if let failure { throw failure }
            guard !isClosed else { throw CaptureError(.file, "the file is closed") }
            guard isCompressed else { return file }
            if let member { return member.input }
            let pipe = try makePipe()
            defer { _ = Glibc.close(pipe.read) }
            do {
                member = Member(input: pipe.write, gzip: try GzipProcess(["-c"], input: pipe.read, output: file))
            } catch {
                _ = Glibc.close(pipe.write)
                throw error
            }
            onNewMember()
            return pipe.write
        }

        /// Waits until the member is in the file.
        mutating func endMember(_ name: String) {
            guard let ended = member else { return }
            member = nil
            _ = Glibc.close(ended.input)
            if let complaint = ended.gzip.wait() {
                failure = failed(name, "gzip: \(complaint.text)")
            } else {
                stored += ended.messages
            }
        }

        /// Hands a message to the kernel.
        mutating func write(_ bytes: [UInt8], _ name: String, onNewMember: () -> Void) throws(CaptureError) {
            let error = CaptureWriter.write(bytes, try descriptor(onNewMember: onNewMember))
            guard error != 0 else {
                if member == nil { stored += 1 } else { member?.messages += 1 }
                return
            }
            // gzip can tell why it no longer reads.
            if isCompressed { endMember(name) }
            if let failure { throw failure }
            if error == EPIPE { throw failed(name, "its reader has ended", .readerGone) }
            throw failed(name, unsafe String(cString: strerror(error)))
        }

        private func failed(_ name: String, _ reason: String, _ code: CaptureError.Code = .file) -> CaptureError {
            CaptureError(code, "\(name): \(reason); \(stored == 1 ? "1 message is" : "\(stored) messages are") in it")
        }
    }

    /// What a path is called in messages.
    package static func name(path: String) -> String { path == "-" ? "standard output" : path }

    package let name: String
    private let queue = DispatchQueue(label: "capture writer")
    private let state: Mutex<State>

    /// - Parameter path: created for its owner only, or emptied; `-` is standard output.
    /// - Throws: ``CaptureError``.
    package init(path: String) throws(CaptureError) {
        name = Self.name(path: path)
        // Without O_NONBLOCK this would wait for the reader of a named pipe, and no signal would end that.
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK
        let file = path == "-" ? fcntl(1, F_DUPFD_CLOEXEC, 3) : unsafe open(path, flags, 0o600)
        guard file >= 0 else {
            throw CaptureError(
                .file, "\(name): \(errno == ENXIO ? "nobody reads this pipe; start its reader first" : lastSystemError())")
        }
        if path != "-" { _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) & ~O_NONBLOCK) }
        state = Mutex(State(file: file, isCompressed: path.hasSuffix(".gz")))
        guard path.hasSuffix(".gz") else { return }
        // A recording of nothing is a gzip file too, and that there is no gzip is told at once.
        try state.withLock { state throws(CaptureError) in _ = try state.descriptor { endMemberInTime() } }
    }

    deinit {
        state.withLock { state in
            guard !state.isClosed else { return }
            if let member = state.member { _ = Glibc.close(member.input) }
            _ = Glibc.close(state.file)
        }
    }

    /// Appends a message.
    ///
    /// - Throws: ``CaptureError`` of code `file`: no space, or nobody reads the pipe any longer.
    package func write(_ line: CaptureLine) async throws(CaptureError) {
        var bytes = line.json.serializedBytes()
        bytes.append(0x0a)
        let text = bytes
        try await perform { [self] state throws(CaptureError) in
            try state.write(text, name) { endMemberInTime() }
        }
    }

    /// Ends the file; of a compressed one waits until gzip has written all of it.
    package func close() async throws(CaptureError) {
        try await perform { [name] state throws(CaptureError) in
            guard !state.isClosed else { return }
            state.isClosed = true
            state.endMember(name)
            let status = Glibc.close(state.file)
            if let failure = state.failure { throw failure }
            guard status == 0 else { throw CaptureError(.file, "\(name): \(lastSystemError())") }
        }
    }

    private func endMemberInTime() {
        queue.asyncAfter(deadline: .now() + Self.memberTime) { [weak self] in
            guard let self else { return }
            state.withLock { $0.endMember(name) }
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

    /// 0, or the error's number.
    private static func write(_ bytes: [UInt8], _ descriptor: CInt) -> CInt {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                return errno
            }
        }
        return 0
    }
}
