import Basics
import Foundation
import Testing

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00.000000Z", 0.0), ("2026-11-23T00:58:42.123456Z", 1_795_395_522.123456),
        ("2000-02-29T23:59:59.999999Z", 951_868_799.999999), ("1969-12-31T23:59:59.500000Z", -0.5),
    ])
    func writesAndReads(text: String, seconds: Double) throws {
        #expect(Timestamp.text(Date(timeIntervalSince1970: seconds)) == text)
        let date = try #require(Timestamp.date(text))
        #expect(abs(date.timeIntervalSince1970 - seconds) < 1e-6)
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_827_696_789, "2000-02-29T12:34:56.789Z"),
        (1_767_225_599_999, "2025-12-31T23:59:59.999Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ])
    func writesMilliseconds(milliseconds: Int64, text: String) {
        #expect(Timestamp.text(Date(timeIntervalSince1970: Double(milliseconds) / 1000), .milliseconds) == text)
    }

    @Test func writesAsPythonDoes() {
        #expect(Timestamp.text(Date(timeIntervalSince1970: 1_700_000_000.25), .python) == "2023-11-14 22:13:20.250000")
    }

    @Test(arguments: [
        ("2026-11-23T01:58:42+01:00", 1_795_395_522.0), ("2026-11-22T22:58:42.5-02:00", 1_795_395_522.5),
        ("2026-11-23 0:58:42:123", 1_795_395_522.123), ("2026-11-23t00:58:42z", 1_795_395_522.0),
    ])
    func readsOtherForms(text: String, seconds: Double) throws {
        let date = try #require(Timestamp.date(text))
        #expect(abs(date.timeIntervalSince1970 - seconds) < 1e-6)
    }

    @Test(arguments: [
        "", "0001-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-23", "2026-11-23T25:00:00Z", "now", "2026-11-23T00:00:00Zx",
    ])
    func refuses(text: String) {
        #expect(Timestamp.date(text) == nil)
    }
}
