internal import DequeModule

/// Publishes awaiting the broker's confirm, by publish sequence number (which restarts at 1 with each confirm.select).
struct ConfirmTracker {
    struct Entry {
        let publish: PendingPublish
        fileprivate(set) var returned: (replyCode: Int, replyText: String)?
    }

    /// Index 0 has sequence number `base`; nil is confirmed.
    private var entries: Deque<Entry?> = []
    private var base: UInt64 = 1
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    /// The oldest publish's deadline; since all limits are equal, none is earlier.
    var nextDeadline: ContinuousClock.Instant? { entries.first??.publish.deadline }

    mutating func add(_ publish: PendingPublish) {
        entries.append(Entry(publish: publish))
        count += 1
    }

    /// Marks the oldest publish that a basic.return can belong to.
    ///
    /// A return carries no sequence number, so it is matched by address and content; between identical publishes it does not
    /// matter which one was returned.
    mutating func markReturned(
        exchange: String, routingKey: String, message: AMQPMessage, replyCode: Int, replyText: String
    ) -> Bool {
        let index = entries.firstIndex { entry in
            guard let entry, entry.publish.mandatory, entry.returned == nil else { return false }
            let publish = entry.publish
            return publish.routingKey == routingKey && publish.exchange == exchange
                && publish.message.properties.messageID == message.properties.messageID
                && publish.message.properties.correlationID == message.properties.correlationID
                && publish.message.body == message.body
        }
        guard let index else { return false }
        entries[index]?.returned = (replyCode, replyText)
        return true
    }

    /// Removes and returns the publishes that a basic.ack or basic.nack confirms; an unknown number confirms nothing.
    mutating func confirm(_ sequence: UInt64, multiple: Bool) -> [Entry] {
        var confirmed: [Entry] = []
        if multiple {
            let last = sequence == 0 ? .max : sequence
            while let first = entries.first, base <= last {
                entries.removeFirst()
                base += 1
                if let first { confirmed.append(first) }
            }
        } else if sequence >= base, sequence - base < UInt64(entries.count) {
            let index = Int(sequence - base)
            if let entry = entries[index] { confirmed.append(entry) }
            entries[index] = nil
        }
        trim()
        count -= confirmed.count
        return confirmed
    }

    /// Removes and returns the publishes whose deadline has passed; a late confirm is ignored.
    mutating func expire(_ now: ContinuousClock.Instant) -> [Entry] {
        var expired: [Entry] = []
        for index in entries.indices {
            guard let entry = entries[index] else { continue }
            guard entry.publish.deadline <= now else { break }
            expired.append(entry)
            entries[index] = nil
        }
        trim()
        count -= expired.count
        return expired
    }

    /// Starts over for a new channel and returns the unconfirmed publishes.
    mutating func reset() -> [Entry] {
        let waiting = entries.compactMap(\.self)
        self = ConfirmTracker()
        return waiting
    }

    private mutating func trim() {
        while let first = entries.first, case nil = first {
            entries.removeFirst()
            base += 1
        }
    }
}
