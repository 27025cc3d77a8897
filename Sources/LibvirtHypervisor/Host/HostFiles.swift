import Foundation
import VolumeSwap

/// Lists the files that the host's loop devices and its swap space are on.
struct HostFiles: Sendable {
    var systemDirectory = "/sys"
    var swapList = "/proc/swaps"

    /// The kernel's own name of this boot of the host, which no other one has.
    static let bootID = String(
        decoding: FileManager.default.contents(atPath: "/proc/sys/kernel/random/boot_id") ?? Data(), as: UTF8.self
    ).trimmingCharacters(in: .whitespacesAndNewlines)

    /// The files in use, by the kernel's names.
    func inUse() -> [HostFile] {
        let swap = text(swapList).map { SwapList.files($0) } ?? []
        return loops() + swap.flatMap { path in Self.names(path).map { HostFile(path: $0, user: "swap space") } }
    }

    private func loops() -> [HostFile] {
        let directory = "\(systemDirectory)/block"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasPrefix("loop") }.sorted().flatMap { name -> [HostFile] in
            guard let line = text("\(directory)/\(name)/loop/backing_file"), !line.isEmpty else { return [] }
            let path = line.hasSuffix("\n") ? String(line.dropLast()) : line
            return Self.names(path).map { HostFile(path: $0, user: "the loop device /dev/\(name)") }
        }
    }

    /// The kernel adds a word to the name of a removed file, which another file may really have.
    private static func names(_ path: String) -> [String] {
        let mark = " (deleted)"
        return path.hasSuffix(mark) ? [path, String(path.dropLast(mark.count))] : [path]
    }

    private func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// The text of `/proc/swaps`.
enum SwapList {
    /// The paths of swap files; swap on devices claims them.
    static func files(_ text: String) -> [String] { paths(text, type: "file") }

    /// The paths of devices that are swap space.
    static func devices(_ text: String) -> [String] { paths(text, type: "partition") }

    private static func paths(_ text: String, type: String) -> [String] {
        text.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split { $0 == " " || $0 == "\t" }
            return fields.count > 1 && fields[1] == type ? unescaped(fields[0]) : nil
        }
    }

    /// Undoes the kernel's octal escapes of white space and backslashes (`seq_file_path`): `\040`.
    static func unescaped(_ field: Substring) -> String {
        var rest = ArraySlice(field.utf8)
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            guard byte == UInt8(ascii: "\\"), digits.count == 3,
                let escaped = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(escaped)
            rest = rest.dropFirst(3)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
