import Basics
import Foundation
import Testing

@Suite struct QuantityTests {
    @Test func bytesHaveAUnitAndFewDigits() {
        #expect(
            [0, 512, 1024, 1536, 104_857_600, 1 << 40].map(Quantity.bytes) == [
                "0 B", "512 B", "1.0 KiB", "1.5 KiB", "100 MiB", "1.0 TiB",
            ])
    }

    @Test func shortDurationsFitSixCharacters() {
        #expect(
            [0, 59, 65, 7200, 172_799, 172_800, -1, .infinity].map(Quantity.short) == [
                "0s", "59s", "1m05s", "2h00m", "47h59m", "2d", "-", "-",
            ])
        for seconds in stride(from: 0.0, through: 1e8, by: 99_991) { #expect(Quantity.short(seconds).count <= 6) }
    }

    @Test func wholeNumbersHaveNoDecimals() {
        #expect([300, 0.5, -2, 1e300, .infinity].map(Quantity.number) == ["300", "0.5", "-2", "1e+300", "inf"])
    }

    @Test func theTimeOfDayIsUTC() {
        let date = Date(timeIntervalSince1970: 1_700_000_000.25)
        #expect(Quantity.timeOfDay(date) == "22:13:20")
        #expect(Quantity.timeOfDay(date, hasMilliseconds: true) == "22:13:20.250")
    }
}
