import Foundation
import Testing
import VolumeSwap

@testable import Daemon

@Suite("What the host says of a path")
struct HostPathsTests {
    /// A directory of its own, its links resolved.
    static func directory() throws -> URL {
        let url = FileManager.default.temporaryDirectory.resolvingSymlinksInPath()
            .appending(path: "host-paths-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    static func withDirectory(_ body: (String) async throws -> Void) async throws {
        let url = try directory()
        defer { try? FileManager.default.removeItem(at: url) }
        try await body(url.path(percentEncoded: false))
    }

    static func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
    }

    @Test("A file: kind, exact size, no device number")
    func file() async throws {
        try await Self.withDirectory { directory in
            let path = "\(directory)/volume"
            try Data(count: 12345).write(to: URL(filePath: path))
            let place = try #require(try await HostPaths().inspect(path))
            #expect(place == PathDescription(kind: .file, bytes: 12345, canonicalPath: path, names: [path], deviceNumber: nil))
        }
    }

    @Test("Nothing there, and nothing below a file, is nil")
    func missing() async throws {
        try await Self.withDirectory { directory in
            #expect(try await HostPaths().inspect("\(directory)/none") == nil)
            try Data().write(to: URL(filePath: "\(directory)/file"))
            #expect(try await HostPaths().inspect("\(directory)/file/below") == nil)
            try Self.link("\(directory)/dangling", to: "none")
            #expect(try await HostPaths().inspect("\(directory)/dangling") == nil)
        }
    }

    @Test("Links are followed, each name kept; dots are resolved")
    func links() async throws {
        try await Self.withDirectory { directory in
            let path = "\(directory)/volume"
            try Data(count: 1).write(to: URL(filePath: path))
            try Self.link("\(directory)/relative", to: "volume")
            try Self.link("\(directory)/absolute", to: "\(directory)/relative")
            let place = try #require(try await HostPaths().inspect("\(directory)/absolute"))
            #expect(place.canonicalPath == path)
            #expect(place.names == ["\(directory)/absolute", "\(directory)/relative", path])
            let dotted = try #require(
                try await HostPaths().inspect("\(directory)/../\(directory.split(separator: "/").last ?? "")/./volume"))
            #expect(dotted.canonicalPath == path)
            #expect(dotted.names == [path])
        }
    }

    @Test("A linked directory is judged by where it leads")
    func linkedDirectory() async throws {
        try await Self.withDirectory { directory in
            let inside = "\(directory)/inside"
            try FileManager.default.createDirectory(atPath: inside, withIntermediateDirectories: false)
            try Data(count: 1).write(to: URL(filePath: "\(directory)/secret"))
            try Self.link("\(inside)/out", to: "..")
            let place = try #require(try await HostPaths().inspect("\(inside)/out/secret"))
            #expect(place.canonicalPath == "\(directory)/secret")
            #expect(!PathPolicy([inside]).allows(place))
            #expect(PathPolicy([directory]).allows(place))
        }
    }

    @Test("A loop of links is an error, not a hang")
    func loop() async throws {
        try await Self.withDirectory { directory in
            try Self.link("\(directory)/a", to: "b")
            try Self.link("\(directory)/b", to: "a")
            await #expect(throws: HypervisorError.self) { try await HostPaths().inspect("\(directory)/a") }
        }
    }

    @Test("Directories and character devices are no volumes", arguments: ["/dev", "/dev/null", "/"])
    func other(path: String) async throws {
        #expect(try await HostPaths().inspect(path)?.kind == .other)
    }

    @Test("Many looks at once")
    func manyAtOnce() async throws {
        try await Self.withDirectory { directory in
            let path = "\(directory)/volume"
            try Data(count: 7).write(to: URL(filePath: path))
            try await withThrowingTaskGroup(of: Int64?.self) { group in
                for _ in 0..<200 { group.addTask { try await HostPaths().inspect(path)?.bytes } }
                for try await bytes in group { #expect(bytes == 7) }
            }
        }
    }
}
