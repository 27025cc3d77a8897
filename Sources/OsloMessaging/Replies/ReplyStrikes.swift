/// Tracks the broker's reactions to one reply, in order to find a reply that makes it close the connection.
///
/// A close does not name the message, so it counts against all replies in flight. A reply with enough strikes is sent alone, and
/// if the connection is closed then, that reply is the cause.
struct ReplyStrikes: Sendable {
    /// Closes for which the broker gave a reason, with other replies in flight and alone.
    private var closes = 0
    private var closesAlone = 0
    /// Connections lost without a reason, as when a broker is killed. A message seldom causes these, so more are tolerated.
    private var losses = 0
    private var lossesAlone = 0

    var goesAlone: Bool { closes >= 2 || losses >= 5 }
    /// Whether further attempts are pointless.
    var isOut: Bool { closesAlone >= 2 || lossesAlone >= 8 }

    /// Records how an attempt ended.
    ///
    /// - Parameter alone: Whether nothing else was in flight.
    mutating func add(_ code: TransportError.Code, alone: Bool) {
        switch code {
        case .suspected:
            closes += 1
            if alone { closesAlone += 1 }
        case .lost:
            losses += 1
            if alone { lossesAlone += 1 }
        default: break
        }
    }
}
