import Dispatch
import Synchronization
import Testing

@testable import Libvirt

struct WatchdogTests {
    @Test(.timeLimit(.minutes(10))) func reportsSilenceOnce() async {
        let gate = DispatchSemaphore(value: 0)
        let reports = AsyncStream.makeStream(of: Void.self)
        let dog = Watchdog(
            milliseconds: 10, count: 3, question: { gate.wait() }, silence: { reports.continuation.yield() })
        var iterator = reports.stream.makeAsyncIterator()
        await iterator.next()
        gate.signal()
        dog.stop()
        reports.continuation.finish()
        #expect(await iterator.next() == nil)
    }

    /// Many more answers than it takes silence; half a second in which nobody has a turn is no silence yet.
    @Test(.timeLimit(.minutes(10))) func staysQuietWhileAnswersCome() async {
        let answers = AsyncStream.makeStream(of: Void.self)
        let silent = Silence()
        let dog = Watchdog(
            milliseconds: 10, count: 50, question: { answers.continuation.yield() }, silence: { silent.report() })
        var iterator = answers.stream.makeAsyncIterator()
        for _ in 0..<120 { await iterator.next() }
        dog.stop()
        #expect(!silent.reported)
    }
}

private final class Silence: Sendable {
    private let flag = Mutex(false)

    var reported: Bool { flag.withLock { $0 } }

    func report() {
        flag.withLock { $0 = true }
    }
}
