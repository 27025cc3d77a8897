import Foundation
import Glibc
import Testing
import VolumeSwap

@testable import LibvirtHypervisor

@Suite("The backing file in a qcow2 header")
struct QCOW2HeaderTests {
    static func bytes(_ number: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }

    static func extended(_ type: UInt32, _ text: String) -> [UInt8] {
        let data = Array(text.utf8)
        return bytes(type) + bytes(UInt32(data.count)) + data + [UInt8](repeating: 0, count: (8 - data.count % 8) % 8)
    }

    /// An image's start; the name comes right after the header and its extensions, as QEMU writes it.
    static func image(_ name: [UInt8], version: UInt32 = 3, extensions: [UInt8] = [], size: UInt32? = nil) -> [UInt8] {
        let length = version == 2 ? 72 : 112
        var bytes = Array("QFI".utf8) + [0xFB] + bytes(version)
        let end = extensions + [UInt8](repeating: 0, count: 8)
        bytes += Self.bytes(UInt64(name.isEmpty ? 0 : length + end.count)) + Self.bytes(size ?? UInt32(name.count))
        bytes += [UInt8](repeating: 0, count: 100 - bytes.count)
        bytes += Self.bytes(UInt32(112)) + [UInt8](repeating: 0, count: 8)
        return bytes.prefix(length) + end + name
    }

    static let features = extended(0x6803_F857, "twelve bytes")
    static func format(_ format: String) -> [UInt8] { extended(0xE279_2ACA, format) }

    @Test("Versions 2 and 3, with and without a format", arguments: [UInt32(2), 3])
    func header(version: UInt32) {
        let plain = QCOW2Header(Self.image(Array("/base".utf8), version: version))
        #expect(plain?.nameBytes == 5 && plain?.backingFormat == nil)
        let typed = QCOW2Header(
            Self.image(Array("/base".utf8), version: version, extensions: Self.features + Self.format("raw")))
        #expect(typed?.backingFormat == "raw")
        let header: Int64 = version == 2 ? 72 : 112
        #expect(typed?.nameOffset == header + 24 + 16 + 8)
    }

    @Test("Other content, no backing file, and headers that QEMU does not open")
    func none() {
        let image = Self.image(Array("/base".utf8))
        #expect(QCOW2Header([]) == nil && QCOW2Header(Array(image.prefix(71))) == nil)
        #expect(QCOW2Header([0] + image) == nil && QCOW2Header([UInt8](repeating: 0, count: 4096)) == nil)
        #expect(QCOW2Header(Self.image([])) == nil && QCOW2Header(Self.image(Array("/base".utf8), version: 1)) == nil)
        #expect(QCOW2Header(Self.image(Array("/base".utf8), size: 0)) == nil)
        #expect(QCOW2Header(Self.image(Array("/base".utf8), size: 1024)) == nil)
        #expect(QCOW2Header(Array(image.prefix(8)) + [UInt8](repeating: 0xFF, count: 96)) == nil)
    }

    @Test("The size of the guest's disk, in whole sectors, with and without a backing file")
    func size() async throws {
        try await HostPathsTests.withDirectory { directory in
            let path = "\(directory)/image"
            for name in ["", "/base"] {
                var image = Self.image(Array(name.utf8))
                image.replaceSubrange(24..<32, with: Self.bytes(UInt64(3 << 30 | 513)))
                try Data(image).write(to: URL(filePath: path))
                #expect(try await HostPaths().imageBytes(path) == 3 << 30 | 512)
                image.replaceSubrange(24..<32, with: Self.bytes(UInt64.max))
                #expect(QCOW2Header.guestBytes(image) == nil && QCOW2Header.guestBytes([0] + image) == nil)
                #expect(QCOW2Header.guestBytes(Array(image.prefix(71))) == nil)
            }
            #expect(try await HostPaths().imageBytes("\(directory)/none") == nil)
        }
    }

    @Test("Extensions that are cut off or lie about their length")
    func damaged() {
        let long = Self.bytes(UInt32(0xE279_2ACA)) + Self.bytes(UInt32.max)
        #expect(QCOW2Header(Self.image(Array("/base".utf8), extensions: long))?.backingFormat == nil)
        var image = Self.image(Array("/base".utf8), extensions: Self.format("raw"))
        image.replaceSubrange(100..<104, with: Self.bytes(UInt32.max))
        #expect(QCOW2Header(image)?.nameBytes == 5 && QCOW2Header(image)?.backingFormat == nil)
    }

    @Test("Read from a file; a pipe, a directory and nothing at all are not opened")
    func files() async throws {
        try await HostPathsTests.withDirectory { directory in
            let path = "\(directory)/image"
            func read(_ bytes: [UInt8]) async throws -> BackingAnswer {
                try Data(bytes).write(to: URL(filePath: path))
                return await HostPaths().backingFile(of: path)
            }
            let image = Self.image(Array("b\u{e4}se".utf8), extensions: Self.format("qcow2"))
            #expect(try await read(image) == .found(BackingFile(name: "b\u{e4}se", format: "qcow2")))
            #expect(try await read(Self.image(Array("cut\0off".utf8))) == .found(BackingFile(name: "cut")))
            #expect(try await read(Self.image([])) == .nothing)
            #expect(try await read([]) == .nothing)
            for name in [[0xFF, 0xFE], [0]] as [[UInt8]] {
                guard case .failed = try await read(Self.image(name)) else {
                    Issue.record("\(name) is no name")
                    continue
                }
            }
            try #require(mkfifo("\(directory)/pipe", 0o600) == 0)
            for other in ["pipe", "none", "."] {
                #expect(await HostPaths().backingFile(of: "\(directory)/\(other)") == .nothing)
            }
            try HostPathsTests.link("\(directory)/circle", to: "circle")
            guard case .failed = await HostPaths().backingFile(of: "\(directory)/circle") else {
                Issue.record("a loop of links was read")
                return
            }
        }
    }
}
