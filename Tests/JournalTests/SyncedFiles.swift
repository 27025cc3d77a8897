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
    }

    private struct State: @unchecked Sendable {
        /// The watched directories, and where their files' synced contents go.
        var watched: [String: String] = [:]
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

    /// What a disk holds now, in one piece.
    static func copy(_ image: String, to path: String) throws {
        try state.withLock { _ in try FileManager.default.copyItem(atPath: image, toPath: path) }
    }

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
        let taken = File(methods: methods, path: path, image: image)
        nonisolated(unsafe) let key = UnsafeMutableRawPointer(file)
        state.withLock { $0.files[key] = taken }
        file.pointee.pMethods = UnsafePointer(layer)
    }

    private static func sync(_ file: UnsafeMutablePointer<sqlite3_file>, _ flags: Int32) -> Int32 {
        nonisolated(unsafe) let key = UnsafeMutableRawPointer(file)
        guard let found = state.withLock({ $0.files[key] }) else { return SQLITE_IOERR }
        let code = found.methods.pointee.xSync(file, flags)
        guard code == SQLITE_OK, let bytes = try? Data(contentsOf: found.path) else { return SQLITE_IOERR }
        let copy = URL(fileURLWithPath: found.image + "/" + found.path.lastPathComponent)
        return state.withLock { _ in (try? bytes.write(to: copy)) == nil ? SQLITE_IOERR : code }
    }
}
