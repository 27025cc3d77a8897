import Foundation
import GRDB

/// Names database files for SQLite, with parameters.
enum SQLiteURI {
    /// - Parameter parameter: such as `immutable=1`.
    static func name(_ path: String, _ parameter: String) -> String {
        "file:" + (path.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) ?? path) + "?" + parameter
    }

    /// Whether SQLite was built to accept parameters in file names; without them it would write beside the journal.
    static var isSupported: Bool {
        let used = try? DatabaseQueue().read { db in try Bool.fetchOne(db, sql: "SELECT sqlite_compileoption_used('USE_URI')") }
        return used == true
    }
}
