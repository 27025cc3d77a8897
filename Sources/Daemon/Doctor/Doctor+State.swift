import Foundation
import Journal
import Settings
import VolumeSwap

extension Doctor {
    /// Upper bound of what a start writes to a new journal and its log.
    private static let neededSpace: Int64 = 256 << 10
    /// Free space below which writing the journal may soon fail.
    private static let wantedSpace: Int64 = 64 << 20

    /// Checks that `pivotd run` could use the journal's directory, and that it has room.
    func stateDirectory() -> [Finding] {
        let name = "state_dir"
        let path = configuration.daemon.stateDirectory
        do {
            switch try JournalInspection(directory: path).checkDirectory() {
            case .missing(let parent):
                return [space(parent) ?? .ok(name, "\(path) does not exist yet: pivotd run creates it")]
            case .open:
                let open = Finding.warning(
                    name, "\(path) is open to other users until pivotd run restricts it", remedy: "chmod 0700 \(path)")
                return [open] + [space(path)].compactMap(\.self)
            case .closed:
                return [space(path) ?? .ok(name, "\(path) is private and writable")]
            }
        } catch {
            return [Self.failure(name, error)]
        }
    }

    /// Checks the journal's files, and whether a worker has them open.
    func journal() -> (state: JournalInspection.State?, findings: [Finding]) {
        let path = configuration.daemon.stateDirectory
        let inspection = JournalInspection(directory: path)
        // Problems with the directory have been reported.
        guard (try? inspection.checkDirectory()) != nil else { return (nil, []) }
        do {
            let state = try inspection.checkJournal()
            switch state {
            case .missing: return (state, [.ok("journal", "does not exist yet: pivotd run creates it")])
            case .sound: return (state, [.ok("journal", "sound, and no worker has it open")])
            case .inUse: return (state, [])
            }
        } catch {
            return (nil, [Self.failure("journal", error)])
        }
    }

    /// Whether a worker has the journal open, or that cannot be told.
    var mayHaveWorker: Bool {
        switch journal().state {
        case .missing?, .sound?: false
        case .inUse?, nil: true
        }
    }

    private func space(_ path: String) -> Finding? {
        let name = "state_dir"
        guard let space = FreeSpace(path) else { return nil }
        guard space.hasFiles else {
            return .failure(
                name, "the file system of \(path) has no inode left: no file can be created", remedy: "remove files there")
        }
        guard space.bytes >= Self.neededSpace else {
            return .failure(
                name, "the file system of \(path) is full, \(space.bytes >> 10) KiB are free: the journal cannot be written",
                remedy: "free some space: pivotd run waits for it")
        }
        guard space.bytes >= Self.wantedSpace else {
            return .warning(
                name, "\(path) has only \(space.bytes >> 20) MiB free", remedy: "free some space: a full disk stops all swaps")
        }
        return nil
    }

    /// The journal's messages end with the remedy: "WHAT; REMEDY".
    private static func failure(_ name: String, _ error: JournalError) -> Finding {
        guard let end = error.message.firstRange(of: "; ") else {
            return .failure(name, error.message, remedy: "check the disk, its mount options and the permissions")
        }
        return .failure(name, String(error.message[..<end.lowerBound]), remedy: String(error.message[end.upperBound...]))
    }
}
