import Foundation
import Libvirt
import Testing

struct LibvirtEventsTests {
    @Test(.timeLimit(.minutes(10))) func deliversLifecycleEventsOfTheDomain() async throws {
        let connection = try await openTestDriver()
        let uuid = UUID().uuidString.lowercased()
        let other = UUID().uuidString.lowercased()
        let events = connection.events(domainUUID: uuid.uppercased())
        let stranger = try await connection.defineDomain(xml: domainXML(name: "stranger-\(other)", uuid: other))
        let domain = try await connection.defineDomain(xml: domainXML(name: "events-\(uuid)", uuid: uuid))
        try await domain.create()
        try await domain.suspend()
        try await domain.resume()
        try await domain.destroy()
        try await domain.undefine()
        try await stranger.undefine()

        var seen: [LifecycleEvent] = []
        for await event in events {
            guard case .lifecycle(let eventUUID, let kind, _) = event else {
                Issue.record("unexpected \(event)")
                break
            }
            #expect(eventUUID == uuid)
            seen.append(kind)
            if kind == .undefined { break }
        }
        #expect(seen == [.defined, .started, .suspended, .resumed, .stopped, .undefined])
        await connection.close()
    }

    @Test(.timeLimit(.minutes(10))) func givesEachSubscriberAllEvents() async throws {
        let connection = try await openTestDriver()
        let uuid = UUID().uuidString.lowercased()
        var first = connection.events(domainUUID: uuid).makeAsyncIterator()
        var second = connection.events().makeAsyncIterator()
        let domain = try await connection.defineDomain(xml: domainXML(name: "fan-out-\(uuid)", uuid: uuid))
        try await domain.undefine()
        let expected = LibvirtEvent.lifecycle(domainUUID: uuid, event: .defined, detail: 0)
        #expect(await first.next() == expected)
        // Without a filter the events of other tests' domains come too.
        var event = await second.next()
        while let present = event, present != expected { event = await second.next() }
        #expect(event == expected)
        await connection.close()
    }

    @Test(.timeLimit(.minutes(10))) func tellsOfOverflowBeforeTheRest() async throws {
        let connection = try await openTestDriver()
        let uuid = UUID().uuidString.lowercased()
        let slow = connection.events(domainUUID: uuid, limit: 2)
        let all = connection.events(domainUUID: uuid)
        let domain = try await connection.defineDomain(xml: domainXML(name: "overflow-\(uuid)", uuid: uuid))
        try await domain.create()
        try await domain.suspend()
        try await domain.resume()
        try await domain.destroy()
        try await domain.undefine()
        for await event in all {
            if case .lifecycle(_, .undefined, _) = event { break }
        }
        await connection.close()

        var rest: [LibvirtEvent] = []
        for await event in slow { rest.append(event) }
        #expect(rest.count == 4)
        #expect(rest.first == .overflow(dropped: 4))
        #expect(rest.dropFirst().first == .lifecycle(domainUUID: uuid, event: .stopped, detail: 1))
        #expect(rest.dropFirst(2).first == .lifecycle(domainUUID: uuid, event: .undefined, detail: 0))
        #expect(rest.last == .disconnected(.client))
    }

    @Test(.timeLimit(.minutes(10))) func endsWithTheConnection() async throws {
        let connection = try await openTestDriver()
        let events = connection.events(domainUUID: UUID().uuidString)
        let waiting = Task { () -> [LibvirtEvent] in
            var seen: [LibvirtEvent] = []
            for await event in events { seen.append(event) }
            return seen
        }
        await connection.close()
        #expect(await waiting.value == [.disconnected(.client)])
        var late = connection.events().makeAsyncIterator()
        #expect(await late.next() == .disconnected(.client))
        #expect(await late.next() == nil)
    }

    @Test(.timeLimit(.minutes(10))) func endsForACancelledTask() async throws {
        let connection = try await openTestDriver()
        let events = connection.events(domainUUID: UUID().uuidString)
        let waiting = Task { () -> LibvirtEvent? in
            var iterator = events.makeAsyncIterator()
            return await iterator.next()
        }
        waiting.cancel()
        #expect(await waiting.value == nil)
        await connection.close()
    }
}
