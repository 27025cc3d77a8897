import Foundation
import Testing

@testable import Observability

@Suite struct SystemdNotifierTests {
    /// A datagram socket as systemd has it.
    final class Receiver {
        let descriptor: Int32
        private let path: String

        init(_ path: String) throws {
            self.path = path
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            var bytes = Array(path.utf8)
            let isAbstract = bytes[0] == UInt8(ascii: "@")
            if isAbstract { bytes[0] = 0 }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (isAbstract ? 0 : 1))
            let bound = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
            }
            guard bound == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        }

        deinit {
            close(descriptor)
            if path.hasPrefix("/") { unlink(path) }
        }

        func next() -> String? {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &buffer, buffer.count, 0)
            return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    @Test(arguments: ["/tmp/pivotd-notify-\(UUID().uuidString)", "@pivotd-notify-\(UUID().uuidString)"])
    func statesArrive(path: String) throws {
        let receiver = try Receiver(path)
        let notifier = SystemdNotifier(environment: ["NOTIFY_SOCKET": path])
        #expect(notifier.ready(status: "consuming"))
        #expect(notifier.status("two\nlines"))
        #expect(notifier.watchdog())
        #expect(notifier.stopping())
        #expect(receiver.next() == "READY=1\nSTATUS=consuming")
        #expect(receiver.next() == "STATUS=two\\nlines")
        #expect(receiver.next() == "WATCHDOG=1")
        #expect(receiver.next() == "STOPPING=1")
        #expect(receiver.next() == nil)
    }

    @Test func nothingHappensOutsideOfSystemd() {
        let notifier = SystemdNotifier(environment: [:])
        #expect(!notifier.ready())
        #expect(notifier.watchdogInterval == nil)
        #expect(!SystemdNotifier(environment: ["NOTIFY_SOCKET": "vsock:2:1"]).ready())
        #expect(!SystemdNotifier(environment: ["NOTIFY_SOCKET": "/nowhere/socket"]).ready())
        #expect(!SystemdNotifier(environment: ["NOTIFY_SOCKET": "/" + String(repeating: "x", count: 200)]).ready())
    }

    @Test func theWatchdogIsOursOnly() {
        let own = ["NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "\(getpid())"]
        #expect(SystemdNotifier(environment: own).watchdogInterval == .milliseconds(1500))
        let other = own.merging(["WATCHDOG_PID": "1"]) { $1 }
        #expect(SystemdNotifier(environment: other).watchdogInterval == nil)
    }

    @Test func theWatchdogIsFedOnlyWhileAlive() async throws {
        let path = "/tmp/pivotd-notify-\(UUID().uuidString)"
        let receiver = try Receiver(path)
        let notifier = SystemdNotifier(environment: ["NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"])
        let (asked, ask) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(8))
        let run = Task {
            await notifier.runWatchdog {
                ask.yield()
                return false
            }
        }
        var questions = asked.makeAsyncIterator()
        for _ in 0..<3 { _ = await questions.next() }
        run.cancel()
        await run.value
        #expect(receiver.next() == nil)
    }
}
