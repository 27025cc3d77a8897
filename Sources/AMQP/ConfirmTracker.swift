internal import DequeModule

/// Publishes that wait for the broker's confirm, by publish sequence number (which starts at 1 with each confirm.select).
struct ConfirmTracker {
    struct Entry {
        let publish: PendingPublish
        fileprivate(set) var returned: (replyCode: Int, replyText: String)?
    }

    /// Index 0 has sequence number `base`; nil is settled.
    private var entries: Deque<Entry?> = []
    private var base: UInt64 = 1
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    /// The oldest wait's deadline; all waits are equally long, so no other is earlier.
    var nextDeadline: ContinuousClock.Instant? { entries.first??.publish.deadline }

    mutating func add(_ publish: PendingPublish) {
        entries.append(Entry(publish: publish))
        count += 1
    }

    /// Notes a basic.return on the oldest publish it can belong to.
    ///
    /// A return carries no sequence number, so it is matched by address and content; where two publishes are equal in all of
    /// these, it makes no difference which of them was returned.
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

    /// basic.ack or basic.nack: removes and returns the publishes it settles; a number not in wait settles nothing.
    mutating func settle(_ sequence: UInt64, multiple: Bool) -> [Entry] {
        var settled: [Entry] = []
        if multiple {
            let last = sequence == 0 ? .max : sequence
            while let first = entries.first, base <= last {
                entries.removeFirst()
                base += 1
                if let first { settled.append(first) }
            }
        } else if sequence >= base, sequence - base < UInt64(entries.count) {
            let index = Int(sequence - base)
            if let entry = entries[index] { settled.append(entry) }
            entries[index] = nil
        }
        trim()
        count -= settled.count
        return settled
    }

    /// Removes and returns the publishes whose deadline has passed; a confirm that comes after that is ignored.
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

    /// Starts over for a new channel; returns what was in wait.
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
