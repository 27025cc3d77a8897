import AMQP
import Foundation
import Settings
import Testing

@testable import Daemon
@testable import Observability

@Suite("Doctor") struct DoctorTests {
    private static func configuration(_ flags: [String: String]) throws -> PivotdConfiguration {
        try PivotdConfiguration.load(flags: flags, environment: [:], defaultFile: "/nonexistent")
    }

    private static func settings(_ url: String) throws -> BrokerSettings {
        try BrokerSettings(try configuration(["transport_url": url]).bus)
    }

    private static let isDown = AMQPError(code: .connectFailed, message: "connection refused")
    private static let isRefused = AMQPError(code: .authenticationFailed, message: "ACCESS_REFUSED", replyCode: 403)
    private static let isUntrusted = AMQPError(code: .tls, message: "the broker's certificate has expired")

    @Test("one host: the broker as a whole")
    func oneHost() throws {
        let settings = try Self.settings("rabbit://u:s3cret@h1/v")
        #expect(Doctor.hosts(settings, [nil]) == [.ok("broker", "rabbit://u:***@h1:5672/v")])
        let finding = try #require(Doctor.hosts(settings, [Self.isDown]).first)
        #expect(finding.status == .failure && finding.line.contains("u:***@h1:5672") && !finding.line.contains("s3cret"))
    }

    @Test("one host of several may be down, but none may refuse the worker")
    func severalHosts() throws {
        let settings = try Self.settings("rabbit://u:s3cret-1@h1,v:s3cret-2@h2:5673,h3/v")
        func statuses(_ errors: AMQPError?...) -> [Finding.Status] {
            let findings = Doctor.hosts(settings, errors)
            #expect(findings.map(\.name) == ["broker h1:5672", "broker h2:5673", "broker h3:5672"])
            #expect(!findings.contains { $0.line.contains("s3cret") })
            return findings.map(\.status)
        }
        #expect(statuses(nil, nil, nil) == [.ok, .ok, .ok])
        #expect(statuses(nil, Self.isDown, Self.isDown) == [.ok, .warning, .warning])
        #expect(statuses(Self.isRefused, nil, Self.isUntrusted) == [.failure, .ok, .failure])
        #expect(statuses(Self.isDown, Self.isRefused, Self.isDown) == [.failure, .failure, .failure])
    }

    @Test("consumers of the worker's own queue besides the worker are a warning")
    func sharing() {
        #expect(Doctor.sharing("pivotd.h1", consumers: 1, hasWorker: true) == nil)
        let two = Doctor.sharing("pivotd.h1", consumers: 2, hasWorker: true)
        #expect(two?.status == .warning && two?.name == "queue pivotd.h1" && two?.detail.contains("has 2 consumers") == true)
        let elsewhere = Doctor.sharing("pivotd.h1", consumers: 1, hasWorker: false)
        #expect(elsewhere?.status == .warning && elsewhere?.detail.contains("is consumed, although no worker") == true)
    }

    @Test("a worker's readiness, quoting its page")
    func readiness() {
        let ready = Doctor.readiness(.init(status: 200, body: "ok\nlibvirt: vm1 does not answer\n"), "process 7")
        #expect(ready == .ok("worker", "process 7 is ready; libvirt: vm1 does not answer"))
        let broken = Doctor.readiness(.init(status: 503, body: "broker: gone\nlibvirt: not connected\n"), "process 7")
        #expect(broken.status == .failure)
        #expect(broken.detail == "process 7 is not ready: broker: gone; libvirt: not connected")
        for page in [HealthClient.Page(status: 200, body: "<html>"), .init(status: 404, body: "")] {
            #expect(Doctor.readiness(page, "process 7").detail.contains("is not pivotd"))
        }
    }

    @Test("a file of the connection to the broker")
    func files() throws {
        let path = NSTemporaryDirectory() + "pivotd-doctor-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(Doctor.checked("ssl_key_file", path, isSecret: true).status == .failure)
        try Data().write(to: URL(fileURLWithPath: path))
        let cases: [(Int, Bool, Finding.Status)] = [
            (0o600, true, .ok), (0o640, true, .ok), (0o644, true, .warning), (0o644, false, .ok), (0o666, false, .warning),
        ]
        for (mode, isSecret, status) in cases {
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            #expect(Doctor.checked("ssl_key_file", path, isSecret: isSecret).status == status, "0\(String(mode, radix: 8))")
        }
        #expect(Doctor.checked("ssl_ca_file", NSTemporaryDirectory(), isSecret: false).status == .failure)
    }

    @Test("a world-readable configuration file, with and without a password")
    func configurationFile() throws {
        let path = NSTemporaryDirectory() + "pivotd-doctor-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        func status(_ text: String, _ mode: Int) throws -> Finding.Status? {
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            return Doctor(configuration: try Self.configuration(["config": path]), file: path).configurationFile().first?.status
        }
        let secret = "transport_url: rabbit://u:s3cret@h1/\n"
        #expect(try status(secret, 0o600) == .ok)
        #expect(try status(secret, 0o644) == .warning)
        #expect(try status("topic: other\n", 0o644) == .ok)
        #expect(try status("topic: other\n", 0o666) == .warning)
    }
}
