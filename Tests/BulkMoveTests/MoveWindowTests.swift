import Foundation
import Testing

@testable import BulkMove

@Suite("A window")
struct MoveWindowTests {
    private func isOpen(_ window: String, _ hour: Int, _ minute: Int) throws -> Bool {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(secondsFromGMT: 7200))
        let date = try #require(calendar.date(from: DateComponents(year: 2026, month: 11, day: 23, hour: hour, minute: minute)))
        return try #require(MoveWindow(window)).isOpen(at: date, in: calendar)
    }

    @Test("From its beginning until just before its end, in local time")
    func day() throws {
        #expect(try !isOpen("09:30-17:00", 9, 29) && isOpen("09:30-17:00", 9, 30))
        #expect(try isOpen("09:30-17:00", 16, 59) && !isOpen("09:30-17:00", 17, 0))
    }

    @Test("Across midnight")
    func night() throws {
        #expect(try isOpen("22:00-6:00", 22, 0) && isOpen("22:00-6:00", 0, 0) && isOpen("22:00-6:00", 5, 59))
        #expect(try !isOpen("22:00-6:00", 6, 0) && !isOpen("22:00-6:00", 21, 59))
    }

    @Test(
        "Anything else is not a window",
        arguments: ["", "22-06", "22:00", "24:00-01:00", "22:60-01:00", "22:00-22:00", "a 22:00-06:00"])
    func invalid(text: String) { #expect(MoveWindow(text) == nil) }

    @Test("Its text") func text() { #expect(MoveWindow("9:05-06:00").map { "\($0) \($0.opening)" } == "09:05-06:00 09:05") }
}
