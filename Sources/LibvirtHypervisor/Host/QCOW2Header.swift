import SystemPackage
import VolumeSwap

/// Where a qcow2 image names its backing file, and the size of its guest's disk: QEMU's `docs/interop/qcow2.rst`. All numbers are big-endian.
struct QCOW2Header: Equatable {
    /// Offset and number of the name's bytes.
    var nameOffset: Int64
    var nameBytes: Int
    /// The backing file's format; nil if the header does not say, or says it later than in the bytes read.
    var backingFormat: String?

    /// Enough for the header and what QEMU puts between it and the name.
    static let bytes = 4096
    private static let longestName: UInt64 = 1023

    /// - Parameter bytes: the image's first, as many as there are.
    /// - Returns: nil if this is not the header of a qcow2 image with a backing file.
    init?(_ bytes: [UInt8]) {
        guard Self.isImage(bytes) else { return nil }
        let version = Self.number(bytes[4..<8])
        let (offset, size) = (Self.number(bytes[8..<16]), Self.number(bytes[16..<20]))
        guard version >= 2, let nameOffset = Int64(exactly: offset), offset > 0, 1...Self.longestName ~= size else { return nil }
        self.nameOffset = nameOffset
        nameBytes = Int(size)
        // Version 2 has no field for the header's length.
        let length = version == 2 ? 72 : bytes.count < 104 ? nil : Int(Self.number(bytes[100..<104]))
        if let length { backingFormat = Self.format(bytes, from: length) }
    }

    /// The size in bytes that a guest sees, whole sectors as QEMU counts them; nil if this is not a qcow2 image's header.
    static func guestBytes(_ header: [UInt8]) -> Int64? {
        isImage(header) ? Int64(exactly: number(header[24..<32])).map { $0 / 512 * 512 } : nil
    }

    private static func isImage(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 72 && bytes.starts(with: Array("QFI".utf8) + [0xFB])
    }

    /// Finds the header extension with the backing file's format.
    private static func format(_ bytes: [UInt8], from start: Int) -> String? {
        var rest = bytes.dropFirst(start)
        while rest.count >= 8 {
            let type = number(rest.prefix(4))
            let length = Int(number(rest.dropFirst(4).prefix(4)))
            rest = rest.dropFirst(8)
            guard type != 0, length <= rest.count else { return nil }
            if type == 0xE279_2ACA { return String(decoding: rest.prefix(length), as: UTF8.self) }
            rest = rest.dropFirst((length + 7) / 8 * 8)
        }
        return nil
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
}

extension QCOW2Header {
    /// Reads the size of an image in a file or block device.
    static func guestBytes(ofImage path: String) -> Int64? {
        guard let file = try? FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec, .nonBlocking]),
            let header = try? file.closeAfter({ try read(file, at: 0, bytes) })
        else { return nil }
        return guestBytes(header)
    }

    /// Reads what is below an image in a file or block device; nothing else is opened.
    static func backingFile(ofImage path: String) -> BackingAnswer {
        do {
            let type = try Stat(FilePath(path)).type
            guard type == .regular || type == .blockSpecial else { return .nothing }
            let file = try FileDescriptor.open(FilePath(path), .readOnly, options: [.closeOnExec, .nonBlocking])
            return try file.closeAfter { try backingFile(in: file, path) }
        } catch Errno.noSuchFileOrDirectory {
            return .nothing
        } catch {
            return .failed("cannot read \(path): \(error)")
        }
    }

    private static func backingFile(in file: FileDescriptor, _ path: String) throws -> BackingAnswer {
        guard let header = QCOW2Header(try read(file, at: 0, bytes)) else { return .nothing }
        let name = try read(file, at: header.nameOffset, header.nameBytes).prefix { $0 != 0 }
        guard !name.isEmpty, let text = String(validating: name, as: UTF8.self) else {
            return .failed("the name of the file below \(path) cannot be read")
        }
        return .found(BackingFile(name: text, format: header.backingFormat))
    }

    private static func read(_ file: FileDescriptor, at offset: Int64, _ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let read = unsafe try bytes.withUnsafeMutableBytes { unsafe try file.read(fromAbsoluteOffset: offset, into: $0) }
        return Array(bytes.prefix(read))
    }
}
