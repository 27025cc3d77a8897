import Testing

@testable import AMQP

@Suite struct QueueQuarantineTests {
    private let now = ContinuousClock.now

    @Test func aQueueIsLeftAloneLongerEveryTime() {
        var quarantine = QueueQuarantine()
        #expect(quarantine.hold(on: 1, at: now)?.until == nil)
        var pauses: [Duration] = []
        for _ in 0..<8 { pauses.append(quarantine.add(1, why: "broken", at: now)) }
        #expect(pauses == [5, 10, 20, 40, 80, 160, 300, 300].map { .seconds($0) })
        #expect(quarantine.hold(on: 1, at: now)?.until == now + .seconds(300))
        #expect(quarantine.hold(on: 1, at: now + .seconds(300))?.until == nil)
        #expect(quarantine.hold(on: 2, at: now)?.until == nil)
    }

    @Test func oneThatWorksBeginsAnew() {
        var quarantine = QueueQuarantine()
        _ = quarantine.add(1, why: "broken", at: now)
        _ = quarantine.add(1, why: "broken", at: now)
        quarantine.clear(1)
        #expect(quarantine.hold(on: 1, at: now)?.until == nil)
        #expect(quarantine.add(1, why: "broken", at: now) == .seconds(5))
    }

    @Test func oneThatIsAskedAboutIsReleasedWithItsPast() {
        var quarantine = QueueQuarantine()
        #expect(quarantine.add(1, why: "silent", at: now, asksFirst: true) == .seconds(5))
        #expect(quarantine.hold(on: 1, at: now)?.until == now + .seconds(5) && quarantine.reasonToAsk(about: 1) == "silent")
        quarantine.ask(about: 1, why: "down", from: now + .seconds(1))
        #expect(quarantine.hold(on: 1, at: now)?.until == now + .seconds(1) && quarantine.reasonToAsk(about: 1) == "down")
        quarantine.release(1, at: now)
        #expect(quarantine.hold(on: 1, at: now)?.until == nil && quarantine.reasonToAsk(about: 1) == nil)
        #expect(quarantine.add(1, why: "silent", at: now, asksFirst: true) == .seconds(10))
        #expect(quarantine.add(2, why: "broken", at: now) == .seconds(5))
        quarantine.releaseUnreachable(at: now)
        #expect(quarantine.hold(on: 1, at: now)?.until == nil && quarantine.hold(on: 2, at: now)?.until == now + .seconds(5))
    }

    @Test func whatHomeNodeDownLooksLike() {
        func error(_ message: String, _ code: Int = 404) -> AMQPError {
            AMQPError(code: .channelClosed, message: message, replyCode: code)
        }
        #expect(error("NOT_FOUND - home node 'a@b' of durable queue 'q' in vhost '/' is down or inaccessible").isHomeNodeDown)
        #expect(error("NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor").isHomeNodeDown)
        #expect(error("NOT_FOUND - failed to perform operation on queue 'q' in vhost '/' due to timeout").isHomeNodeDown)
        #expect(!error("NOT_FOUND - no queue 'q' in vhost '/'").isHomeNodeDown)
        #expect(error("INTERNAL_ERROR", 541).isInternal)
    }
}
