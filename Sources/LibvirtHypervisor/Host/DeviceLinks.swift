import Foundation
import Glibc
import Synchronization
import SystemPackage

/// udev's links in a directory, which is read again only once it has changed: one check of a volume asks for those of every block device
/// of all guests.
final class DeviceLinks: Sendable {
    private struct Listing {
        var directory: String
        /// When the directory last changed, since 1970.
        var changed: Duration
        var links: [String: [String]]
    }

    private let listing = Mutex<Listing?>(nil)

    /// The links in a directory by the name of the device that they lead to.
    func links(in directory: String) -> [String: [String]] {
        listing.withLock { listing -> [String: [String]] in
            let changed = Self.changed(directory)
            if let known = listing, known.directory == directory, known.changed == changed { return known.links }
            let isSettled = changed.map { Self.isSettled($0) } ?? false
            let links = Self.read(directory)
            if let changed, isSettled {
                listing = Listing(directory: directory, changed: changed, links: links)
            } else {
                listing = nil
            }
            return links
        }
    }

    private static func changed(_ directory: String) -> Duration? {
        guard let time = try? Stat(FilePath(directory)).st_mtim else { return nil }
        return Duration.seconds(time.tv_sec) + Duration.nanoseconds(time.tv_nsec)
    }

    /// Whether another change cannot have the same time any more: the kernel's clock ticks every few milliseconds.
    private static func isSettled(_ changed: Duration) -> Bool {
        Duration.seconds(Date().timeIntervalSince1970) - changed > Duration.seconds(1)
    }

    private static func read(_ directory: String) -> [String: [String]] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.sorted().reduce(into: [:]) { links, name in
            let link = "\(directory)/\(name)"
            if let target = FilePaths.link(link)?.split(separator: "/").last { links[String(target), default: []].append(link) }
        }
    }
}
