import Foundation
import Testing

@testable import AMQP

#if canImport(Glibc)
    import Glibc
#endif

@Suite("A silent connection", .timeLimit(.minutes(10)))
struct SilenceGuardTests {
    /// Two connected sockets, closed at the end.
    private final class Pair {
        let ours: Int32
        let theirs: Int32

        init() throws {
            var pair: [Int32] = [-1, -1]
            try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
            (ours, theirs) = (pair[0], pair[1])
        }

        deinit {
            close(ours)
            close(theirs)
        }
    }

    /// Runs the guard's thread while the body does.
    private func watching(_ body: (SilenceGuard) throws -> Void) throws {
        let silence = SilenceGuard()
        let ended = DispatchSemaphore(value: 0)
        Thread {
            silence.run()
            ended.signal()
        }.start()
        defer {
            silence.finish()
            ended.wait()
        }
        try body(silence)
    }

    @Test("Its socket is shut down, which ends any wait to read or write")
    func silent() throws {
        let pair = try Pair()
        try watching { silence in
            silence.watch(pair.ours, limit: .milliseconds(20))
            var byte: UInt8 = 0
            // Blocks until then.
            #expect(read(pair.ours, &byte, 1) == 0)
            #expect(silence.release())
        }
    }

    @Test("A connection that is heard from, or released, is left alone")
    func heard() throws {
        let pair = try Pair()
        let silence = SilenceGuard()
        let limit = Duration.seconds(3600)
        silence.watch(pair.ours, limit: limit)
        silence.endIfSilent(.now + limit / 2)
        #expect(!silence.release())
        silence.endIfSilent(.now + limit * 2)
        var byte: UInt8 = 7
        #expect(write(pair.theirs, &byte, 1) == 1)
        #expect(read(pair.ours, &byte, 1) == 1)
        silence.watch(pair.ours, limit: limit)
        silence.endIfSilent(.now + limit * 2)
        #expect(silence.release())
        #expect(read(pair.ours, &byte, 1) == 0)
    }
}
