import Testing

@testable import AMQP

@Suite struct DeliveryWindowTests {
    private static let mebibyte = 1 << 20

    private func window(wide: UInt16 = 8192) -> DeliveryWindow {
        DeliveryWindow(bytes: 64 * Self.mebibyte, bodyLimit: Self.mebibyte, wide: wide, consumers: 2)
    }

    @Test func aNarrowWindowFullOfTheLargestIsWithinTheBound() {
        let window = window()
        #expect(window.prefetch == 32)
        #expect(!window.isFull(.init(count: 64, bytes: 64 * Self.mebibyte)))
        #expect(DeliveryWindow(bytes: 1, bodyLimit: 10, wide: 100, consumers: 3).prefetch == 1)
    }

    @Test func smallMessagesWidenIt() {
        var window = window()
        #expect(window.better(.init(count: 31, bytes: 31_000)) == nil)
        #expect(window.better(.init(count: 32, bytes: 32 * Self.mebibyte)) == nil)
        #expect(window.better(.init(count: 32, bytes: 32_000)) == .wide(8192))
        window.turn(to: .wide(8192))
        #expect(window.prefetch == 8192)
        #expect(window.better(.init(count: 8192, bytes: 64 * Self.mebibyte)) == nil)
    }

    @Test func itIsNoWiderThanWhatItHolds() {
        #expect(window().better(.init(count: 32, bytes: 32 * 40_960)) == .wide(409))
        // Wide enough as it is.
        #expect(window().better(.init(count: 32, bytes: 8 * Self.mebibyte)) == .wide(64))
        #expect(window().better(.init(count: 64, bytes: 8 * Self.mebibyte)) == .wide(128))
    }

    @Test func largeOnesShutAWideOneUntilHalfIsFree() {
        var window = window()
        window.turn(to: .wide(8192))
        #expect(window.better(.init(count: 100, bytes: 64 * Self.mebibyte + 1)) == .shut)
        window.turn(to: .shut)
        #expect(window.better(.init(count: 50, bytes: 33 * Self.mebibyte)) == nil)
        #expect(window.better(.init(count: 50, bytes: 32 * Self.mebibyte)) == .narrow)
        window.turn(to: .narrow)
        #expect(window.prefetch == 32)
    }

    @Test func oneThatMayNotShutBecomesNarrowInstead() {
        var window = DeliveryWindow(
            bytes: 64 * Self.mebibyte, bodyLimit: Self.mebibyte, wide: 8192, consumers: 2, mayShut: false)
        #expect(window.better(.init(count: 32, bytes: 7 * Self.mebibyte)) == .wide(73))
        window.turn(to: .wide(73))
        // Smaller ones have come since.
        #expect(window.better(.init(count: 72, bytes: 72_000)) == nil)
        #expect(window.better(.init(count: 73, bytes: 73_000)) == .wide(512))
        window.turn(to: .wide(512))
        #expect(window.better(.init(count: 600, bytes: 600)) == nil)
        #expect(window.better(.init(count: 100, bytes: 64 * Self.mebibyte + 1)) == .narrow)
        window.turn(to: .narrow)
        #expect(window.prefetch == 32)
        #expect(window.better(.init(count: 100, bytes: 64 * Self.mebibyte + 1)) == nil)
    }

    @Test func aSmallPrefetchIsNeverWidened() {
        let window = window(wide: 10)
        #expect(window.prefetch == 10)
        #expect(window.better(.init(count: 1000, bytes: 0)) == nil)
    }
}
