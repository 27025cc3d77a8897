import CollectedLog
import Logging
import Synchronization
import Testing

@testable import Daemon
@testable import Settings

@Suite struct ConfigurationReloaderTests {
    func load(_ flags: [String: String] = [:]) throws(ConfigurationError) -> PivotdConfiguration {
        try PivotdConfiguration.load(flags: flags, environment: [:], defaultFile: "/nonexistent/pivotd.yaml")
    }

    @Test func onlyWhatCanChangeIsTaken() throws {
        var running = try load()
        let new = try load([
            "allowed_paths": "/a,/b", "bandwidth_mib_s": "7", "max_concurrent_swaps": "2", "topic": "other",
            "transport_url": "rabbit://u:s3cret@h/",
        ])
        let change = running.adopt(new)
        #expect(change.taken == ["allowed_paths=/a,/b", "bandwidth_mib_s=7", "max_concurrent_swaps=2"])
        #expect(change.left == ["transport_url", "topic"])
        #expect(running.hypervisor.allowedPaths == ["/a", "/b"])
        #expect(running.swap.bandwidthMiBPerSecond == 7)
        #expect(running.daemon.maxConcurrentSwaps == 2)
        #expect(running.bus.topic == "pivotd")
        let text = ConfigurationReloader.text(change)
        #expect(text.hasSuffix("; restart needed for transport_url, topic"))
        #expect(!text.contains("s3cret"))
        // What waits for a restart is said each time, what was taken is not.
        #expect(running.adopt(new) == PivotdConfiguration.Change(left: ["transport_url", "topic"]))
    }

    @Test func eachReloadableKeyIsTaken() throws {
        let given = ["true", "4", "critical", "/x", "off"]
        for key in PivotdConfiguration.keys where key.name != "transport_url_file" {
            guard let value = given.first(where: { key.parse(.text($0)) != nil }), value != key.defaultText else { continue }
            var running = try load()
            let change = running.adopt(try load([key.name: value]))
            #expect(change.taken.map { $0.prefix { $0 != "=" } } == (key.reloads ? [Substring(key.name)] : []))
            #expect(change.left == (key.reloads ? [] : [key.name]))
        }
        #expect(PivotdConfiguration.keys.filter(\.reloads).count == 20)
        #expect(ConfigurationReloader.text(PivotdConfiguration.Change()) == "nothing has changed")
    }

    @Test func whoComesLateIsToldWhatWasReloaded() throws {
        let configuration = try load()
        let next = Mutex(["max_concurrent_swaps": "3"])
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let reloader = ConfigurationReloader(configuration, logger: logger) { () throws(ConfigurationError) in
            try PivotdConfiguration.load(
                flags: next.withLock { $0 }, environment: [:], defaultFile: "/nonexistent/pivotd.yaml")
        }
        let seen = Mutex<[Int]>([])
        reloader.reload()
        reloader.onReload { new in seen.withLock { $0.append(new.daemon.maxConcurrentSwaps) } }
        next.withLock { $0 = ["max_concurrent_swaps": "0"] }
        reloader.reload()
        next.withLock { $0 = ["max_concurrent_swaps": "4"] }
        reloader.reload()
        #expect(seen.withLock { $0 } == [3, 4])
    }

    @Test func eachProblemOfARefusedReloadIsALogLine() throws {
        let log = CollectedLog()
        let logger = Logger(label: "test") { _ in log }
        let reloader = ConfigurationReloader(try load(), logger: logger) {
            () throws(ConfigurationError) -> PivotdConfiguration in
            throw ConfigurationError(problems: ["a is wrong", "b is wrong"])
        }
        reloader.reload()
        let said = "error the configuration is invalid and was not reloaded:"
        #expect(log.lines == ["\(said) a is wrong", "\(said) b is wrong"])
    }
}
