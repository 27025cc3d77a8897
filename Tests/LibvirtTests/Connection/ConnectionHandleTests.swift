import Dispatch
import Logging
import Testing

@testable import Libvirt

struct ConnectionHandleTests {
    @Test(.timeLimit(.minutes(10))) func theEndOfTheConnectionEndsCallsInFlight() async throws {
        let connection = try await openTestDriver()
        let gate = DispatchSemaphore(value: 0)
        let started = AsyncStream.makeStream(of: Void.self)
        let call = Task {
            try await connection.handle.call { (_) throws(LibvirtError) in
                started.continuation.yield()
                gate.wait()
            }
        }
        var iterator = started.stream.makeAsyncIterator()
        await iterator.next()
        connection.handle.hub.close(.keepalive)
        let error = await #expect(throws: LibvirtError.self) { try await call.value }
        #expect(error?.isConnectionLost == true)
        #expect(error?.message.contains("keepalive") == true)
        #expect(try await connection.waitUntilClosed() == .keepalive)
        gate.signal()
        await connection.close()
        #expect(connection.closeReason == .keepalive)
    }

    @Test(
        arguments: [
            ("qemu:///embed?root=/srv/x", "secret:///embed?root=/srv/x"), ("qemu:///system", nil),
            ("secret:///embed?root=/x", nil),
            ("qemu+unix:///system?socket=/embed", nil),
        ] as [(String, String?)]) func findsTheSecretDriverOfAnEmbeddedOne(uri: String, secretURI: String?)
    {
        #expect(LibvirtConnection.embeddedSecretURI(for: uri) == secretURI)
    }
}
