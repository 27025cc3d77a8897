import Foundation
import Testing

@testable import Basics

@Suite(.timeLimit(.minutes(10))) struct ReadAllTests {
    /// A pipe that something was written to, and its path as a shell gives it for `<(…)`.
    private static func pipe(_ text: String) throws -> (pipe: Pipe, path: String) {
        let pipe = Pipe()
        try pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        try pipe.fileHandleForWriting.close()
        return (pipe, "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)")
    }

    @Test func aPipeIsReadOnceAndThenIsEmpty() throws {
        let (pipe, path) = try Self.pipe("topic: moves")
        let bytes = try readAll(path)
        #expect(String(decoding: bytes, as: UTF8.self) == "topic: moves")
        #expect(throws: ReadFailure.emptyPipe) { try readAll(path) }
        try pipe.fileHandleForReading.close()
    }

    @Test func aDescriptorIsReadToItsEnd() throws {
        let (pipe, _) = try Self.pipe(String(repeating: "x", count: 60_000))
        let descriptor = pipe.fileHandleForReading.fileDescriptor
        let (bytes, rest) = (try readAll(from: descriptor), try readAll(from: descriptor))
        #expect(bytes.count == 60_000 && rest.isEmpty)
        try pipe.fileHandleForReading.close()
    }

    @Test func aFileIsReadUpToItsLimit() throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "read-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        let text = String(repeating: "0123456789", count: 20_000)
        try Data(text.utf8).write(to: file)
        let bytes = try readAll(file.path, atMost: 200_000)
        #expect(String(decoding: bytes, as: UTF8.self) == text)
        #expect(throws: ReadFailure.tooLarge(limit: 199_999)) { try readAll(file.path, atMost: 199_999) }
        #expect(throws: ReadFailure.tooLarge(limit: 1 << 20)) { try readAll("/dev/zero", atMost: 1 << 20) }
    }

    @Test func whatIsNoFileIsNamed() throws {
        #expect(throws: ReadFailure.missing) { try readAll("/nowhere/file") }
        #expect(throws: ReadFailure.unreadable) { try readAll("/") }
        let nothing = try readAll("/dev/null")
        #expect(nothing.isEmpty)
        #expect("\(ReadFailure.tooLarge(limit: 1 << 20))" == "is larger than 1.0 MiB")
    }
}
