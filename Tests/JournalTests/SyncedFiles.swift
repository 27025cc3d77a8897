import Foundation
import GRDBSQLite
import Synchronization

/// What a disk holds after a power loss: of each file in the watched directories only what SQLite has synced.
///
/// A layer between SQLite and its files, for the whole process, that passes everything on.
enum SyncedFiles {
    private struct File: @unchecked Sendable {
        /// SQLite's own.
        let methods: UnsafePointer<sqlite3_io_methods>
        let path: URL
        let image: String
        /// What the file held when a sync failed, and what of it had been synced: the rest is lost unless it is written again.
        var failed: (contents: Data, synced: Data)?
    }

    private struct State: @unchecked Sendable {
        /// The watched directories, and where their files' synced contents go.
        var watched: [String: String] = [:]
        /// The directories in which the next sync of a log fails.
        var failing: Set<String> = []
        var files: [UnsafeMutableRawPointer: File] = [:]
    }

    private static let state = Mutex(State())
    nonisolated(unsafe) private static let name = strdup("synced-files")
    nonisolated(unsafe) private static let original = sqlite3_vfs_find(nil)

    private static let isRegistered: Bool = {
        guard let files = original?.pointee else { return false }
        let layer = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        layer.initialize(to: files)
        layer.pointee.zName = UnsafePointer(name)
        layer.pointee.pNext = nil
        layer.pointee.xOpen = { _, name, file, flags, outFlags in
            guard let code = original?.pointee.xOpen(original, name, file, flags, outFlags) else { return SQLITE_MISUSE }
            if code == SQLITE_OK, let file, let name { SyncedFiles.take(file, String(cString: name)) }
            return code
        }
        layer.pointee.xDelete = { _, name, syncsDirectory in
            guard let code = original?.pointee.xDelete(original, name, syncsDirectory) else { return SQLITE_MISUSE }
            if code == SQLITE_OK, let name { SyncedFiles.delete(URL(fileURLWithPath: String(cString: name))) }
            return code
        }
        return sqlite3_vfs_register(layer, 1) == SQLITE_OK
    }()

    /// Copies what is synced in `directory` to `image` from now on. Call before the files are opened.
    static func watch(_ directory: String, image: String) throws {
        guard isRegistered else { throw CocoaError(.featureUnsupported) }
        try FileManager.default.createDirectory(atPath: image, withIntermediateDirectories: false)
        state.withLock { $0.watched[directory] = image }
    }

    /// Lets the next sync of the write-ahead log fail. As in Linux, what it was to store counts as stored afterwards, and is not.
    static func failNextSync(in directory: String) { state.withLock { _ = $0.failing.insert(directory) } }

    private static func delete(_ path: URL) {
        guard let image = state.withLock({ $0.watched[path.deletingLastPathComponent().path] }) else { return }
        try? FileManager.default.removeItem(atPath: image + "/" + path.lastPathComponent)
    }

    private static func take(_ file: UnsafeMutablePointer<sqlite3_file>, _ path: String) {
        let path = URL(fileURLWithPath: path)
        guard let methods = file.pointee.pMethods,
            let image = state.withLock({ $0.watched[path.deletingLastPathComponent().path] })
        else { return }
        let layer = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        layer.initialize(to: methods.pointee)
        layer.pointee.xSync = { file, flags in file.map { SyncedFiles.sync($0, flags) } ?? SQLITE_MISUSE }
        layer.pointee.xTruncate = { file, size in file.map { SyncedFiles.truncate($0, size) } ?? SQLITE_MISUSE }
        let taken = File(methods: methods, path: path, image: image)
        nonisolated(unsafe) let key = UnsafeMutableRawPointer(file)
        state.withLock { $0.files[key] = taken }
        file.pointee.pMethods = UnsafePointer(layer)
    }

    /// What is written from now on is not what was there.
    private static func truncate(_ file: UnsafeMutablePointer<sqlite3_file>, _ size: Int64) -> Int32 {
        nonisolated(unsafe) let key = UnsafeMutableRawPointer(file)
        let found = state.withLock { state in
            state.files[key]?.failed = nil
            return state.files[key]
        }
        return found?.methods.pointee.xTruncate(file, size) ?? SQLITE_IOERR
    }

    private static func sync(_ file: UnsafeMutablePointer<sqlite3_file>, _ flags: Int32) -> Int32 {
        nonisolated(unsafe) let key = UnsafeMutableRawPointer(file)
        guard let found = state.withLock({ $0.files[key] }), found.methods.pointee.xSync(file, flags) == SQLITE_OK,
            var contents = try? Data(contentsOf: found.path)
        else { return SQLITE_IOERR }
        let copy = URL(fileURLWithPath: found.image + "/" + found.path.lastPathComponent)
        let synced = (try? Data(contentsOf: copy)) ?? Data()
        let directory = found.path.deletingLastPathComponent().path
        let fails = state.withLock { state in
            guard found.path.path.hasSuffix("-wal"), state.failing.remove(directory) != nil else { return false }
            state.files[key]?.failed = (contents, synced)
            return true
        }
        if fails { return SQLITE_IOERR | (4 << 8) }  // SQLITE_IOERR_FSYNC
        if let failed = found.failed { contents = lacking(failed, contents) }
        return (try? contents.write(to: copy)) == nil ? SQLITE_IOERR : SQLITE_OK
    }

    /// The contents without what a failed sync has lost and nobody has written again.
    private static func lacking(_ failed: (contents: Data, synced: Data), _ contents: Data) -> Data {
        var result = contents
        for index in 0..<min(contents.count, failed.contents.count) where contents[index] == failed.contents[index] {
            let before = index < failed.synced.count ? failed.synced[index] : 0
            if before != contents[index] { result[index] = before }
        }
        return result
    }
}
