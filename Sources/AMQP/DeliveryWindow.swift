/// How many messages the broker may deliver ahead, so that those which are not settled stay within a bound of bytes. Pure.
///
/// RabbitMQ has no prefetch by size (basic.qos's prefetch_size). The window is narrow until messages turn out to be small: even if each
/// were as large as it may be, what a narrow window holds is within the bound. A wide one that fills up with large messages is shut,
/// and opened again, narrow, when half of the bound is free.
struct DeliveryWindow: Equatable {
    enum Width {
        case narrow, wide
        /// Nothing is asked for.
        case shut
    }

    /// Bytes of unsettled bodies.
    private let bytes: Int
    private let narrow: UInt16
    private let wide: UInt16
    private(set) var width = Width.narrow

    /// - Parameters:
    ///   - bytes: the bound.
    ///   - bodyLimit: bytes of the largest body.
    ///   - wide: the prefetch of a consumer when messages are small.
    init(bytes: Int, bodyLimit: Int, wide: UInt16, consumers: Int) {
        self.bytes = bytes
        self.wide = max(1, wide)
        narrow = min(self.wide, UInt16(clamping: max(1, bytes / max(1, bodyLimit) / max(1, consumers))))
    }

    /// Unsettled deliveries for each consumer.
    var prefetch: UInt16 { width == .wide ? wide : narrow }

    /// Whether one more delivery is too much.
    func isFull(_ held: SettlementLedger.Held) -> Bool { held.bytes > bytes }

    /// The width to go over to; nil when the present one is right.
    func better(_ held: SettlementLedger.Held) -> Width? {
        switch width {
        case .narrow: narrow < wide && held.count >= Int(narrow) && held.bytes <= bytes / 8 ? .wide : nil
        case .wide: isFull(held) ? .shut : nil
        case .shut: held.bytes <= bytes / 2 ? .narrow : nil
        }
    }

    mutating func turn(to width: Width) { self.width = width }
}
