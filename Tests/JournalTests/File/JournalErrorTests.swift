import GRDB
import Testing
import VolumeSwap

@testable import Journal

@Suite struct JournalErrorTests {
    @Test func aRowThatCannotBeDecodedIsNotPrinted() throws {
        let row: Row = ["args": Sample.argsSecret, "disk": nil]
        let thrown = #expect(throws: RowDecodingError.self) { try row.decode(String.self, forColumn: "disk") }
        let error = try #require(thrown)
        #expect("\(error)".contains(Sample.argsSecret), "as GRDB prints it")
        #expect(JournalError(error, path: "/journal").message == "the journal /journal failed: RowDecodingError")
    }

    @Test func whatSQLiteSaysIsKept() {
        let error = JournalError(DatabaseError(resultCode: .SQLITE_FULL, message: "database or disk is full"), path: "/journal")
        #expect(error.code == .unavailable && error.message.contains("database or disk is full"))
    }
}
