import Testing

@testable import VolumeSwap

@Suite("A swap's mailbox and its abort request", .timeLimit(.minutes(5)))
struct HypervisorEventsTests {
    private static func event(_ number: Int) -> HypervisorEvent { .stopped(reason: "\(number)") }

    @Test("Events are read in order, even after the mailbox was closed")
    func order() async {
        let events = HypervisorEvents()
        for number in 0..<3 { events.post(Self.event(number)) }
        events.close()
        events.post(Self.event(3))
        var read: [HypervisorEvent] = []
        for await event in events { read.append(event) }
        #expect(read == (0..<3).map(Self.event))
    }

    @Test("A cancelled reader gets nothing, and the next one continues")
    func cancelledReader() async {
        let events = HypervisorEvents()
        let reader = Task { await events.next() }
        await Task.yield()
        reader.cancel()
        #expect(await reader.value == nil)
        events.post(Self.event(1))
        #expect(await events.next() == Self.event(1))
    }

    @Test("Overflow leaves a recheck and keeps the newest events")
    func overflow() async {
        let events = HypervisorEvents(capacity: 4)
        for number in 0..<9 { events.post(Self.event(number)) }
        events.close()
        var read: [HypervisorEvent] = []
        for await event in events { read.append(event) }
        #expect(read.count <= 4)
        #expect(read.contains(.recheck))
        #expect(read.contains(Self.event(8)))
    }

    @Test("Closing wakes the reader and ends the subscription once")
    func close() async {
        let events = HypervisorEvents()
        let (closes, close) = AsyncStream<Void>.makeStream()
        events.onClose { close.yield() }
        let reader = Task { await events.next() }
        events.close()
        events.close()
        #expect(await reader.value == nil)
        close.finish()
        var count = 0
        for await _ in closes { count += 1 }
        #expect(count == 1)
    }

    @Test("An abort request wakes all waiters, present and future; cancelled ones return")
    func abort() async {
        let request = AbortRequest()
        let cancelled = Task { await request.wait() }
        cancelled.cancel()
        await cancelled.value
        #expect(!request.isMade)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<3 { group.addTask { await request.wait() } }
            request.make()
            await group.waitForAll()
        }
        await request.wait()
        #expect(request.isMade)
    }
}
