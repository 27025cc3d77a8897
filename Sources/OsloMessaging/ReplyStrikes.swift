/// What the broker did while one reply was on its way: finds the reply for which it closes the connection whenever it comes.
///
/// A close names no message, so it counts for all that were under way; a reply with enough of them is sent alone, and what
/// closes the connection then is its own doing.
struct ReplyStrikes: Sendable {
    /// Closes that the broker gave a reason for, with others under way and alone.
    private var closes = 0
    private var closesAlone = 0
    /// Ends of the connection without a word, as when a broker is killed: seldom a message's doing, so more of them count.
    private var losses = 0
    private var lossesAlone = 0

    var goesAlone: Bool { closes >= 2 || losses >= 5 }
    /// Whether further attempts are pointless.
    var isOut: Bool { closesAlone >= 2 || lossesAlone >= 8 }

    /// Notes how an attempt ended.
    ///
    /// - Parameter alone: whether nothing else was under way.
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
