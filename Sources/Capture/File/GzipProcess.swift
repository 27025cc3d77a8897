import Glibc

/// A `gzip` that stands between a pipe and a file.
///
/// It has a process group of its own: Ctrl-C and a kill of pivotd reach it only as the end of its input, so that it writes out
/// all it was given.
struct GzipProcess: Sendable {
    private let processID: pid_t
    /// What it complains of.
    private let errors: CInt

    /// Starts it with these descriptors as standard input and output; they stay open here.
    init(_ arguments: [String], input: CInt, output: CInt) throws(CaptureError) {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
        let errors = try makePipe()
        // Another child that inherited the other end all the same must not keep anybody waiting.
        _ = fcntl(errors.read, F_SETFL, O_NONBLOCK)
        defer { _ = close(errors.write) }
        unsafe posix_spawn_file_actions_adddup2(&actions, errors.write, 2)
        // The process ignores SIGPIPE; a gzip that does so too would not end with its reader.
        var defaults = sigset_t()
        unsafe sigemptyset(&defaults)
        unsafe sigaddset(&defaults, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF))
        var argv: [UnsafeMutablePointer<CChar>?] = unsafe []
        for argument in ["gzip"] + arguments { unsafe argv.append(strdup(argument)) }
        unsafe argv.append(nil)
        defer { unsafe argv.forEach { unsafe free($0) } }
        var processID: pid_t = 0
        let status = unsafe posix_spawnp(&processID, "gzip", &actions, &attributes, argv, environ)
        guard status == 0 else {
            _ = close(errors.read)
            throw CaptureError(.compression, "gzip cannot be run: \(unsafe String(cString: strerror(status)))")
        }
        self.processID = processID
        self.errors = errors.read
    }

    /// How a gzip ended that did not end well.
    struct Complaint {
        let text: String
        /// The data is whole, but there is more behind it.
        let isWarning: Bool
    }

    /// Waits for its end, once; blocks. Nil when it ended well.
    func wait() -> Complaint? {
        defer { _ = close(errors) }
        var status: CInt = 0
        while unsafe waitpid(processID, &status, 0) < 0 {
            guard errno == EINTR else { return Complaint(text: lastSystemError(), isWarning: false) }
        }
        guard status != 0 else { return nil }
        var text = [UInt8](repeating: 0, count: 512)
        let count = unsafe read(errors, &text, text.count)
        // "gzip: stdout: No space left on device", after an empty line.
        let line = String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").first { !$0.isEmpty }
        let exitCode = status & 0x7f == 0 ? status >> 8 & 0xff : nil
        let ending = exitCode.map { "ended with \($0)" } ?? "was ended by signal \(status & 0x7f)"
        return Complaint(text: line.map { String($0.split(separator: ": ").last ?? $0) } ?? ending, isWarning: exitCode == 2)
    }
}

/// A pipe whose ends no child inherits.
func makePipe() throws(CaptureError) -> (read: CInt, write: CInt) {
    var ends: [CInt] = [-1, -1]
    guard unsafe pipe(&ends) == 0 else { throw CaptureError(.file, "no pipe: \(lastSystemError())") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
}

/// The text of `errno`.
func lastSystemError() -> String { unsafe String(cString: strerror(errno)) }
