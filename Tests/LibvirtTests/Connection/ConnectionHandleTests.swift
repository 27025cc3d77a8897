import Dispatch
import Foundation
import Glibc
import Logging
import Synchronization
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

    /// Each attempt keeps its thread until libvirtd answers.
    @Test(.timeLimit(.minutes(10))) func aLibvirtdThatAcceptsAndIsSilentIsAskedOnlySoOften() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "pivotd-mute-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let socket = try MuteSocket(path: directory.appending(path: "s").path)
        let uri = "qemu+unix:///system?socket=\(directory.path)/s"
        func attempt() async -> LibvirtError? {
            do throws(LibvirtError) {
                _ = try await ConnectionHandle.open(
                    uri: uri, events: false, watched: false, within: .milliseconds(1), logger: Logger(label: "mute"))
                return nil
            } catch {
                return error
            }
        }
        for _ in 0..<2 * Unanswered.limit {
            #expect(await attempt()?.message.contains("does not answer") == true)
        }
        #expect(ConnectionHandle.unansweredAttempts(to: uri).count == Unanswered.limit)
        socket.close()
        while ConnectionHandle.unansweredAttempts(to: uri).count > 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(await attempt() != nil)
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

/// A Unix socket whose server accepts no connection, although clients can connect.
private final class MuteSocket: Sendable {
    private let listener: CInt

    init(path: String) throws {
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard listener >= 0, bound == 0, listen(listener, 64) == 0 else { throw POSIXError(.EIO) }
    }

    func close() { _ = Glibc.close(listener) }
}
