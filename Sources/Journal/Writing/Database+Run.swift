import GRDB

extension Database {
    /// Runs a cached statement with one value per question mark.
    func run(_ sql: String, _ arguments: StatementArguments) throws {
        let statement = try cachedStatement(sql: sql)
        // Unchecked, since every call has the right number: GRDB's check takes longer than SQLite's work.
        statement.setUncheckedArguments(arguments)
        try statement.execute()
    }
}
