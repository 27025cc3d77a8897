import Foundation
import Glibc
import JSON
import Logging
import Testing
import VolumeSwap

@testable import Daemon

@Suite("ConnectorHelper")
struct ConnectorHelperTests {
    init() {
        signal(SIGPIPE, SIG_IGN)  // as pivotd does
    }

    @Test("passes connection_info on standard input and reads the path from standard output")
    func connects() async throws {
        let directory = try HelperDirectory()
        let helper = try directory.helper(
            "cat > \(directory.path)/request; echo '{\"path\": \"/dev/mapper/mpatha\", \"more\": 1}'")
        #expect(try await helper.connect(Self.volume()) == "/dev/mapper/mpatha")

        let request = try JSONValue(parsing: try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/request")))
        #expect(request["action"] == "connect")
        #expect(request["connection_info"] == .object(try Self.volume().json))
    }

    @Test("disconnect needs no answer")
    func disconnects() async throws {
        let directory = try HelperDirectory()
        let helper = try directory.helper("cat > \(directory.path)/request")
        try await helper.disconnect(Self.volume())
        let request = try JSONValue(parsing: try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/request")))
        #expect(request["action"] == "disconnect")
    }

    @Test("properties are the object that the helper prints; anything else is a failure")
    func properties() async throws {
        let directory = try HelperDirectory()
        let helper = try directory.helper(
            "cat > \(directory.path)/request; echo '{\"initiator\": \"iqn.x\", \"multipath\": false}'")
        #expect(try await helper.properties().json == ["initiator": "iqn.x", "multipath": false])
        let request = try JSONValue(parsing: try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/request")))
        #expect(request == ["action": "properties"])
        let scripts = [("echo '[]'", "not an object"), ("echo 'no network' >&2; exit 1", "no network")]
        for (script, reason) in scripts {
            let failing = try directory.helper("cat >/dev/null; \(script)")
            let failure = await #expect(throws: SwapFailure.self) { try await failing.properties() }
            #expect(failure?.reason.contains(reason) == true)
            #expect(failure?.kind == .volumeRebaseFailed && failure?.code == .connectorFailed)
        }
    }

    @Test("all who ask for the properties meanwhile share one run, which does not end with the first of them")
    func sharedProperties() async throws {
        let directory = try HelperDirectory()
        let (starts, go) = ("\(directory.path)/starts", "\(directory.path)/go")
        let helper = try directory.helper(
            "echo >> \(starts); cat >/dev/null; while [ ! -e \(go) ]; do sleep 0.02; done; echo '{\"host\": \"h\"}'")
        let first = Task { try await helper.properties() }
        while !FileManager.default.fileExists(atPath: starts) { try await Task.sleep(for: .milliseconds(5)) }
        let answers = try await withThrowingTaskGroup(of: ConnectorProperties.self) { group in
            for _ in 0..<64 { group.addImmediateTask { try await helper.properties() } }
            first.cancel()
            let failure = await #expect(throws: SwapFailure.self) { try await first.value }
            #expect(failure?.reason.contains("interrupted") == true)
            try Data().write(to: URL(fileURLWithPath: go))
            var answers: [ConnectorProperties] = []
            for try await answer in group { answers.append(answer) }
            return answers
        }
        #expect(answers.count == 64 && answers.allSatisfy { $0.json == ["host": "h"] })
        let runs = try String(contentsOf: URL(fileURLWithPath: starts), encoding: .utf8)
        #expect(runs == "\n")
        _ = try await helper.properties()
        let laterRuns = try String(contentsOf: URL(fileURLWithPath: starts), encoding: .utf8)
        #expect(laterRuns == "\n\n", "who asks later gets a new answer")
    }

    @Test("a failure is InvalidVolume with the helper's own words, secrets masked")
    func fails() async throws {
        let directory = try HelperDirectory()
        let helper = try directory.helper(
            "cat >&2; echo >&2; echo 'mount as u with h1dden: login with s3cret \"quoted\" and s3cret%20%22quoted%22 failed' >&2; exit 7"
        )
        let failure = await #expect(throws: SwapFailure.self) { try await helper.connect(Self.volume()) }
        let reason = try #require(failure?.reason)
        #expect(failure?.kind == .invalidVolume)
        #expect(
            reason.contains("volume vol-1 (fibre_channel)")
                && reason.contains("mount as u with ***: login with *** and *** failed"))
        let other = try directory.helper("echo 'login failed, password=Hunter2xyz' >&2; echo gave up >&2; exit 3")
        let masked = await #expect(throws: SwapFailure.self) { try await other.properties() }
        #expect(masked?.reason.contains("login failed, password=*** | gave up") == true)
        #expect(reason.contains("7") && !reason.contains("s3cret") && !reason.contains("h1dden") && !reason.contains("\n"))
    }

    @Test(
        "an answer that is not a path is a failure",
        arguments: [
            "", "no JSON", "[]", "{}", "{\"path\": 1}", "{\"path\": \"\"}", "{\"path\": \"dev/sda\"}",
            "{\"path\": \"/dev/a\\nb\"}",
        ])
    func badAnswer(_ answer: String) async throws {
        let directory = try HelperDirectory()
        try Data(answer.utf8).write(to: URL(fileURLWithPath: "\(directory.path)/answer"))
        let helper = try directory.helper("cat \(directory.path)/answer")
        let failure = await #expect(throws: SwapFailure.self) { try await helper.connect(Self.volume()) }
        #expect(failure?.kind == .invalidVolume && failure?.reason.contains("answer") == true)
    }

    @Test("a helper that takes too long is killed with its child processes")
    func timesOut() async throws {
        let directory = try HelperDirectory()
        let helper = try directory.helper(
            "trap '' TERM; sleep 600 & echo $! > \(directory.path)/child; wait; sleep 600", timeout: .milliseconds(800))
        let began = ContinuousClock.now
        let failure = await #expect(throws: SwapFailure.self) { try await helper.connect(Self.volume()) }
        #expect(failure?.reason.contains("did not finish within 0.8 s and was killed") == true)
        #expect(ContinuousClock.now - began < .seconds(300), "it was waited for: it sleeps for 600 s")
        let text = try String(contentsOf: URL(fileURLWithPath: "\(directory.path)/child"), encoding: .utf8)
        let child = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        // The kernel may take a moment to end what was killed.
        let deadline = ContinuousClock.now + .seconds(60)
        while Self.runs(child), .now < deadline { try await Task.sleep(for: .milliseconds(20)) }
        #expect(!Self.runs(child))
    }

    @Test("only a helper that declares support is checked, within a time limit")
    func checks() async throws {
        let directory = try HelperDirectory()
        let mark = "# pivotd-connector: check"
        #expect(!(try directory.helper("cat > /dev/null").knowsCheck))
        #expect(!(try directory.helper(String(repeating: "#\n", count: 4096) + mark).knowsCheck))
        let helper = try directory.helper("\(mark)\ncat > \(directory.path)/request; echo warning >&2")
        #expect(helper.knowsCheck)
        #expect(await helper.check() == nil)
        let request = try JSONValue(parsing: try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/request")))
        #expect(request == ["action": "check"])
        #expect(await (try directory.helper("echo no brick >&2; exit 1")).check() == "no brick")
        #expect(await (try directory.helper("exit 1")).check()?.contains("with nothing on standard error") == true)
        #expect(await (try directory.helper("sleep 600", timeout: .milliseconds(300))).check()?.contains("was killed") == true)
    }

    @Test("endless output is bounded")
    func endlessOutput() async throws {
        let directory = try HelperDirectory()
        let helper = try directory.helper("exec yes")
        await #expect(throws: SwapFailure.self) { try await helper.connect(Self.volume()) }
    }

    @Test("pivotd's environment never reaches the helper, and no shell reads a caller's data")
    func environment() async throws {
        setenv("PIVOTD_TRANSPORT_URL", "rabbit://user:password@host/", 1)
        defer { unsetenv("PIVOTD_TRANSPORT_URL") }
        let directory = try HelperDirectory()
        let helper = try directory.helper("env > \(directory.path)/env; cat > /dev/null; echo '{\"path\": \"/dev/x\"}'")
        _ = try await helper.connect(Self.volume(id: "$(touch \(directory.path)/hacked)"))
        let environment = try String(contentsOf: URL(fileURLWithPath: "\(directory.path)/env"), encoding: .utf8)
        #expect(environment.contains("CONNECTOR_TIMEOUT_S=30") && !environment.contains("PIVOTD_"))
        #expect(!FileManager.default.fileExists(atPath: "\(directory.path)/hacked"))
    }

    @Test("a helper that is interrupted is given up although its output stays open")
    func interrupted() async throws {
        let directory = try HelperDirectory()
        // Its child leaves its session, keeps its output, and so survives the kill.
        let helper = try directory.helper("setsid sleep 600 & echo $! > \(directory.path)/child; sleep 600")
        let call = Task { try await helper.connect(Self.volume()) }
        while !FileManager.default.fileExists(atPath: "\(directory.path)/child") { try await Task.sleep(for: .milliseconds(5)) }
        call.cancel()
        let failure = await #expect(throws: SwapFailure.self) { try await call.value }
        #expect(failure?.reason.contains("interrupted") == true)
        let child = try String(contentsOf: URL(fileURLWithPath: "\(directory.path)/child"), encoding: .utf8)
        kill(try #require(pid_t(child.trimmingCharacters(in: .whitespacesAndNewlines))), SIGKILL)
    }

    @Test("a missing helper is a failure")
    func missing() async throws {
        let helper = ConnectorHelper(executable: "/nonexistent/helper", timeout: .seconds(5), logger: Logger(label: "test"))
        let failure = await #expect(throws: SwapFailure.self) { try await helper.connect(Self.volume()) }
        #expect(failure?.kind == .invalidVolume && failure?.reason.contains("/nonexistent/helper") == true)
    }

    @Test("a helper that does not read its input does no harm")
    func unreadInput() async throws {
        let directory = try HelperDirectory()
        let helper = try directory.helper("exec <&-; echo '{\"path\": \"/dev/x\"}'")
        let volume = try Self.volume(padding: 1000)
        let outcome: String
        do { outcome = try await helper.connect(volume) } catch { outcome = error.reason }
        #expect(outcome == "/dev/x")
    }

    private static func volume(id: String = "vol-1", padding: Int = 0) throws -> ConnectionInfo {
        let filler = Array(repeating: JSONValue.string(String(repeating: "x", count: 1000)), count: padding)
        return try ConnectionInfo(
            json: [
                "driver_volume_type": "fibre_channel", "serial": .string(id),
                "data": [
                    "target_wwn": ["5000"], "auth_password": "s3cret \"quoted\"", "options": "-o username=u,password=h1dden",
                    "filler": .array(filler),
                ],
            ], argument: "new_connection_info")
    }

    private static func runs(_ process: pid_t) -> Bool {
        guard let status = try? String(contentsOf: URL(fileURLWithPath: "/proc/\(process)/stat"), encoding: .utf8) else {
            return false
        }
        return !status.contains(") Z ")
    }
}

/// A directory for the helper of one test.
private final class HelperDirectory {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("connector-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func helper(_ script: String, timeout: Duration = .seconds(30)) throws -> ConnectorHelper {
        let executable = "\(path)/helper"
        try Data("#!/bin/sh\n\(script)\n".utf8).write(to: URL(fileURLWithPath: executable))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: executable)
        return ConnectorHelper(executable: executable, timeout: timeout, logger: Logger(label: "test"))
    }
}
