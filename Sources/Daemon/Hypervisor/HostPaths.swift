import Dispatch
import Glibc
import VolumeSwap

/// What the host's file system says of a path. Slow storage blocks a thread of its own, never a task's.
struct HostPaths: Sendable {
    private static let queue = DispatchQueue(label: "pivotd.host-paths", attributes: .concurrent)

    /// - Throws: ``HypervisorError`` for what is there but cannot be looked at.
    func inspect(_ path: String) async throws(HypervisorError) -> PathDescription? {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<PathDescription?, HypervisorError>, Never>) in
            Self.queue.async {
                continuation.resume(returning: Result { () throws(HypervisorError) in try Self.look(path) })
            }
        }
        return try result.get()
    }

    /// The payload offset of a LUKS header of version 1 in bytes; nil when there is none to be read.
    func luksPayloadOffset(_ path: String) async -> Int64? {
        await withCheckedContinuation { continuation in
            Self.queue.async { continuation.resume(returning: Self.readLUKSHeader(path)) }
        }
    }

    /// "LUKS on-disk format specification" 1.2.3: magic, version and, at 104, the offset in sectors of 512 bytes, all big-endian.
    private static func readLUKSHeader(_ path: String) -> Int64? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var header = [UInt8](repeating: 0, count: 108)
        let count = unsafe header.withUnsafeMutableBytes { unsafe pread(descriptor, $0.baseAddress, $0.count, 0) }
        guard count == header.count, header.starts(with: Array("LUKS".utf8) + [0xBA, 0xBE, 0, 1]) else { return nil }
        return header[104..<108].reduce(0) { $0 << 8 | Int64($1) } * 512
    }

    private static func look(_ path: String) throws(HypervisorError) -> PathDescription? {
        guard let canonical = resolve(path) else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw error("cannot resolve \(path)")
        }
        var info = stat()
        guard unsafe stat(canonical, &info) == 0 else {
            if errno == ENOENT { return nil }
            throw error("cannot look at \(canonical)")
        }
        switch info.st_mode & S_IFMT {
        case S_IFREG:
            return PathDescription(
                kind: .file, bytes: Int64(info.st_size), canonicalPath: canonical, names: names(path), deviceNumber: nil)
        case S_IFBLK:
            let bytes = try blockDeviceSize(canonical)
            return PathDescription(
                kind: .block, bytes: bytes, canonicalPath: canonical, names: names(path), deviceNumber: UInt64(info.st_rdev))
        default:
            return PathDescription(kind: .other, bytes: 0, canonicalPath: canonical, names: names(path), deviceNumber: nil)
        }
    }

    private static func blockDeviceSize(_ path: String) throws(HypervisorError) -> Int64 {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw error("cannot open \(path)") }
        defer { close(descriptor) }
        let end = lseek(descriptor, 0, SEEK_END)
        guard end >= 0 else { throw error("cannot find the size of \(path)") }
        return Int64(end)
    }

    /// Each link on the way, with its directory resolved: the names by which udev and LVM know a device.
    private static func names(_ path: String) -> [String] {
        var names: [String] = []
        var current = path
        for _ in 0..<16 {
            guard let slash = current.lastIndex(of: "/"),
                let directory = resolve(slash == current.startIndex ? "/" : String(current[..<slash]))
            else { return names }
            let name = (directory == "/" ? "" : directory) + current[slash...]
            names.append(name)
            guard let target = link(name) else { return names }
            current = target.hasPrefix("/") ? target : "\(directory)/\(target)"
        }
        return names
    }

    private static func resolve(_ path: String) -> String? {
        guard let pointer = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(pointer) }
        return unsafe String(cString: pointer)
    }

    private static func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe buffer.withUnsafeMutableBytes { bytes -> Int in
            guard let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
            return unsafe readlink(path, start, bytes.count)
        }
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    private static func error(_ what: String) -> HypervisorError {
        let number = errno
        var cause = "error \(number)"
        if let text = unsafe strerror(number) { cause = unsafe String(cString: text) }
        return HypervisorError(.other, "\(what): \(cause)")
    }
}
