import Foundation
import Glibc
import Testing

/// Volumes that only root can make: loop devices, mounts, a file system that never answers.
enum RealVolume {
    static let isPossible = getuid() == 0 && access("/dev/loop-control", F_OK) == 0 && access("/dev/fuse", F_OK) == 0

    /// Runs a program to its end and returns what it printed.
    @discardableResult
    static func run(_ arguments: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments
        process.environment = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(arguments): \(text)")
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A loop device over a file of this size.
    static func withLoop(_ file: String, bytes: UInt64 = 8 << 20, _ body: (String) async throws -> Void) async throws {
        try #require(FileManager.default.createFile(atPath: file, contents: nil))
        try #require(truncate(file, off_t(bytes)) == 0)
        let device = try run("losetup", "--show", "-f", file)
        defer { _ = try? run("losetup", "-d", device) }
        try await body(device)
    }

    /// A FUSE file system whose server reads nothing: whoever looks into it waits, until it is unmounted.
    static func withHungMount(_ directory: String, _ body: () async throws -> Void) async throws {
        let server = open("/dev/fuse", O_RDWR | O_CLOEXEC)
        try #require(server >= 0)
        let options = "fd=\(server),rootmode=40000,user_id=0,group_id=0"
        guard mount("hung", directory, "fuse", 0, options) == 0 else {
            close(server)
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
        }
        // Closing the server ends all that wait.
        defer {
            close(server)
            umount2(directory, Int32(MNT_DETACH))
        }
        try await body()
    }
}
