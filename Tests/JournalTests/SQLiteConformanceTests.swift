import Journal
import JournalConformance
import Testing

struct SQLiteConformanceTests {
    @Test(arguments: JournalCheck.allCases)
    func conforms(check: JournalCheck) async throws {
        let directory = try TemporaryDirectory()
        let journal = try await directory.open()
        try await check.run(on: journal)
        await journal.close()
    }
}
