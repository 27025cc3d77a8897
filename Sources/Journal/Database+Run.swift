import GRDB

extension Database {
    /// Runs a statement, compiled once, with a value for each question mark.
    func run(_ sql: String, _ arguments: StatementArguments) throws {
        let statement = try cachedStatement(sql: sql)
        // Every call has as many as there are question marks: GRDB's own count takes longer than SQLite's work.
        statement.setUncheckedArguments(arguments)
        try statement.execute()
    }
}
