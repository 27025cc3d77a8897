import Dispatch
import Synchronization
import Testing

@testable import pivotd

@Suite(.timeLimit(.minutes(10))) struct DisplayOutputTests {
    @Test func nobodyWaitsForAReaderAndTheEndDoes() async {
        let reader = DispatchSemaphore(value: 0)
        let read = Mutex("")
        let output = DisplayOutput { text in
            reader.wait()
            read.withLock { $0 += text }
        }
        #expect(output.hasRoom)
        output.write("a")
        output.write(String(repeating: "b", count: 1 << 16))
        output.write("")
        output.write("c")
        #expect(!output.hasRoom && read.withLock(\.isEmpty))
        for _ in 0..<3 { reader.signal() }
        await output.flush()
        #expect(output.hasRoom && read.withLock { $0.count } == 2 + 1 << 16)
        #expect(read.withLock { $0.hasPrefix("ab") && $0.hasSuffix("bc") })
    }

    @Test func aCancelledCommandDoesNotWaitForAReaderThatStalls() async {
        let reader = DispatchSemaphore(value: 0)
        defer { reader.signal() }
        let isRead = Mutex(false)
        let output = DisplayOutput { _ in
            // Or else a command that waits would do so for ever.
            _ = reader.wait(timeout: .now() + 60)
            isRead.withLock { $0 = true }
        }
        output.write("a")
        let flush = Task { await output.flush() }
        flush.cancel()
        await flush.value
        let hasWaited = isRead.withLock { $0 }
        #expect(!hasWaited)
    }
}
