import Budgets
import Foundation
import Testing

@testable import Settings

@Suite struct PivotdConfigurationTests {
    /// A directory that is gone after the test.
    final class Folder {
        let path = NSTemporaryDirectory() + "pivotd-configuration-" + UUID().uuidString

        init() throws {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func file(_ name: String, _ text: String) throws -> String {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
            return "\(path)/\(name)"
        }
    }

    let folder: Folder

    init() throws {
        folder = try Folder()
    }

    func load(
        _ yaml: String? = nil, flags: [String: String] = [:], environment: [String: String] = [:]
    ) throws -> PivotdConfiguration {
        let file = try yaml.map { try folder.file("pivotd.yaml", $0) } ?? "\(folder.path)/missing.yaml"
        return try PivotdConfiguration.load(flags: flags, environment: environment, defaultFile: file)
    }

    func problems(
        _ yaml: String? = nil, flags: [String: String] = [:], environment: [String: String] = [:]
    ) throws -> [String] {
        do {
            _ = try load(yaml, flags: flags, environment: environment)
            return []
        } catch let error as ConfigurationError {
            return error.problems
        }
    }

    @Test func defaultsAreThoseOfTheContract() throws {
        let configuration = try load()
        #expect(configuration.bus.transportURL.reveal() == "rabbit://guest:guest@127.0.0.1:5672/")
        #expect(configuration.bus.exchange == "openstack")
        #expect(configuration.bus.topic == "pivotd")
        #expect(!configuration.bus.host.isEmpty)
        #expect(configuration.bus.replyRetryTimeout == .seconds(60))
        #expect(configuration.bus.failureModule == "nova.exception")
        #expect(configuration.bus.queues.transientTTL == 1800)
        #expect(configuration.bus.queues.isDurable == false)
        #expect(configuration.bus.tls.caFile == nil)
        #expect(configuration.hypervisor.libvirtURI == "qemu:///system")
        #expect(configuration.hypervisor.allowedPaths.starts(with: ["/dev/disk/by-*", "/dev/mapper"]))
        #expect(!configuration.hypervisor.allowedPaths.contains { $0.hasPrefix("/dev/loop") || $0.hasPrefix("/dev/sd") })
        #expect(configuration.swap.timeout == nil)
        #expect(configuration.swap.stallTimeout == .seconds(300))
        #expect(configuration.daemon.httpAddress.map { "\($0)" } == "127.0.0.1:9178")
        #expect(configuration.daemon.maxConcurrentSwaps == 8)
        #expect("\(configuration.daemon.logLevel)" == "info")
        #expect(configuration.daemon.journalRetention == .seconds(168 * 3600))
    }

    @Test func strongerLayersWin() throws {
        let yaml = "topic: file\nexchange: file\nhost: file\nmax_concurrent_swaps: 2\n"
        let environment = ["PIVOTD_TOPIC": "environment", "PIVOTD_EXCHANGE": "environment", "PATH": "/bin"]
        let configuration = try load(yaml, flags: ["topic": "flag"], environment: environment)
        #expect(configuration.bus.topic == "flag")
        #expect(configuration.bus.exchange == "environment")
        #expect(configuration.bus.host == "file")
        #expect(configuration.daemon.maxConcurrentSwaps == 2)
    }

    @Test func synchronousWritesAndConvergenceMustAgree() throws {
        #expect(try load("").swap.convergence == .auto)
        #expect(try load("convergence: off").swap.convergence == .off)
        #expect(try load("convergence: \"off\"\nsynchronous_writes: false").swap.convergence == .off)
        #expect(try load("convergence: auto\nsynchronous_writes: true").swap.synchronousWrites)
        for yaml in ["convergence: off\nsynchronous_writes: true", "convergence: always\nsynchronous_writes: false"] {
            let refusal = #expect(throws: ConfigurationError.self) { try load(yaml) }
            #expect(refusal?.problems.first?.contains("contradicts") == true)
        }
    }

    @Test func aGranularityIsAPowerOfTwo() throws {
        for value in [0, 1, 64, 65_536] { #expect(try load("granularity_kib: \(value)").swap.granularityKiB == value) }
        for value in ["3", "-4", "131072", "0.5", "64k"] {
            let found = try problems("granularity_kib: \(value)")
            #expect(found.first?.contains("granularity_kib must be: power of two up to 65536, or 0; given: \"\(value)\"") == true)
        }
    }

    @Test func eachOfTheLimitsLimitsSomething() throws {
        let rules = try load("limits: [{concurrent: 2}, {match: {driver: rbd}, bandwidth_mib_s: 300}]").budget.rules
        #expect(rules.map(\.concurrent) == [2, 0] && rules.map(\.bandwidthMiBs) == [0, 300])
        let found = try problems("limits:\n  - {match: {side: source}}\n")
        #expect(found.first?.contains("concurrent}, each with at least one of the last two; limits[0] must have ") == true)
    }

    @Test func aLatencyBudgetIsMillisecondsOrAFactor() throws {
        #expect(try load("").swap.guestLatencyBudget == nil)
        #expect(try load("guest_latency_budget: 0").swap.guestLatencyBudget == nil)
        #expect(try load("guest_latency_budget: 20").swap.guestLatencyBudget == .milliseconds(20))
        #expect(try load("guest_latency_budget: 1.5x").swap.guestLatencyBudget == .factor(1.5))
        for value in ["1x", "fast", "-1", "20ms"] {
            #expect(throws: ConfigurationError.self) { try load("guest_latency_budget: \(value)") }
        }
    }

    @Test func everyTypeIsReadFromTheFile() throws {
        let configuration = try load(
            """
            ssl: yes
            prefetch: 7
            progress_interval_s: 0.5
            log_format: json
            http_address: ""
            topic: 12
            connector_helper: ~
            """)
        #expect(configuration.bus.tls.isEnabled)
        #expect(configuration.bus.prefetch == 7)
        #expect(configuration.daemon.progressInterval == .milliseconds(500))
        #expect("\(configuration.daemon.logFormat)" == "json")
        #expect(configuration.daemon.httpAddress == nil)
        #expect(configuration.bus.topic == "12")
        #expect(configuration.hypervisor.connectorHelper == nil)
    }

    @Test(arguments: [
        "allowed_paths: [\"/a\", \"/dev/loop*\"]",
        "allowed_paths: ['/a', '/dev/loop*']\n",
        "allowed_paths:\n  - /a\n  - /dev/loop*\n",
        "{\"allowed_paths\": [\"/a\", \"/dev/loop*\"]}",
        "allowed_paths: /a, /dev/loop*",
        "\"allowed_paths\": [\"\\/a\", \"/dev/loop\\u002a\"]",
    ])
    func listsAreReadInEachNotation(yaml: String) throws {
        #expect(try load(yaml).hypervisor.allowedPaths == ["/a", "/dev/loop*"])
    }

    @Test func listsAreSeparatedByCommasOutsideTheFile() throws {
        #expect(try load(flags: ["allowed_paths": "/a,/b"]).hypervisor.allowedPaths == ["/a", "/b"])
        #expect(try load(environment: ["PIVOTD_ALLOWED_PATHS": "/a, /b,"]).hypervisor.allowedPaths == ["/a", "/b"])
    }

    @Test(arguments: ["allowed_paths: [a]", "allowed_paths: [[/a]]", "allowed_paths: {/a: /b}", "allowed_paths: [/a, ~]"])
    func listsHoldAbsolutePathsOnly(yaml: String) throws {
        let found = try problems(yaml)
        #expect(found.count == 1)
        #expect(found.first?.contains("allowed_paths must be: list of absolute paths and globs; given: ") == true)
    }

    @Test func emptyTextsAreRefusedWhereTheyMeanNothing() throws {
        let empty = ["topic", "exchange", "host", "state_dir", "libvirt_uri", "transport_url", "prefetch", "ssl"]
        let flags = Dictionary(empty.map { ($0, "") }) { $1 }
        #expect(try problems(flags: flags).count == empty.count)
        #expect(
            try problems(flags: ["connector_helper": "", "http_address": "", "ssl_ca_file": "", "allowed_paths": ""]).isEmpty)
    }

    @Test func emptyFilesGiveDefaults() throws {
        for yaml in ["", "# nothing\n", "{}", "null"] {
            #expect(try load(yaml).bus.topic == "pivotd")
        }
    }

    @Test func allProblemsAreFoundAtOnce() throws {
        let found = try problems(
            "max_concurent_swaps: 3\nprefetch: many\nssl: [true]\nswap:\n  a: 1\n",
            flags: ["max_concurrent_swaps": "1025", "log_format": "xml"],
            environment: [
                "PIVOTD_TOPICS": "t", "PIVOTD_HTTP_ADDRESS": "somewhere", "PIVOTD_TEST_ROOT": "/tmp", "PIVOTD_PORT": "1",
            ])
        #expect(found.count == 8)
        let text = found.joined(separator: "\n")
        #expect(text.contains("--max-concurrent-swaps must be: integer 1…1024; given: \"1025\""))
        #expect(text.contains("--log-format must be: text|json; given: \"xml\""))
        #expect(text.contains("PIVOTD_TOPICS is not known; did you mean PIVOTD_TOPIC?"))
        #expect(text.contains("PIVOTD_HTTP_ADDRESS must be: HOST:PORT, or empty; given: \"somewhere\""))
        #expect(text.contains("pivotd.yaml:1: max_concurent_swaps is not known; did you mean max_concurrent_swaps?"))
        #expect(text.contains("pivotd.yaml:2: prefetch must be: integer 1…65535; given: \"many\""))
        #expect(text.contains("pivotd.yaml:3: ssl must be: true or false; given: the list [true]"))
        #expect(text.contains("pivotd.yaml:4: swap is not known"))
    }

    @Test(arguments: ["- a\n- b\n", "topic", "topic: \"unclosed", "a: 1\na: 2\n", "topic: x\n bad indent: [\n"])
    func brokenFilesAreRefused(yaml: String) throws {
        let found = try problems(yaml)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("configuration file \(folder.path)/pivotd.yaml: ") == true)
    }

    @Test func brokenFilesDoNotShowTheirContent() throws {
        let found = try problems("transport_url: \"rabbit://u:hunter2@h/\n[\n")
        #expect(found.count == 1)
        #expect(!found.joined().contains("hunter2"))
    }

    @Test func onlyTheDefaultFileMayBeMissing() throws {
        #expect(try problems().isEmpty)
        let missing = "\(folder.path)/other.yaml"
        #expect(try problems(flags: ["config": missing]) == ["configuration file \(missing): does not exist"])
        #expect(try problems(environment: ["PIVOTD_CONFIG": missing]) == ["configuration file \(missing): does not exist"])
        let other = try folder.file("there.yaml", "topic: there")
        #expect(try load("topic: default", environment: ["PIVOTD_CONFIG": other]).bus.topic == "there")
        #expect(try load(flags: ["config": other], environment: ["PIVOTD_CONFIG": missing]).bus.topic == "there")
    }

    @Test func secretsAreNotShown() throws {
        let configuration = try load("transport_url: rabbit://u:hunter2@h/")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped, "\([configuration.bus.transportURL])"] {
            #expect(!text.contains("hunter2"))
        }
        #expect(configuration.bus.transportURL.reveal() == "rabbit://u:hunter2@h/")
        #expect(try problems("transport_url: [hunter2]").count == 1)
        #expect(try !problems("transport_url: [hunter2]").joined().contains("hunter2"))
    }

    @Test func transportURLFileWinsUnlessTheURLIsGivenAtAStrongerLayer() throws {
        let file = try folder.file("url", "rabbit://file@h/\n")
        func url(_ configuration: PivotdConfiguration) -> String { configuration.bus.transportURL.reveal() }
        #expect(try url(load("transport_url_file: \(file)")) == "rabbit://file@h/")
        #expect(try url(load("transport_url_file: \(file)\ntransport_url: rabbit://url@h/")) == "rabbit://file@h/")
        #expect(
            try url(load("transport_url: rabbit://url@h/", environment: ["PIVOTD_TRANSPORT_URL_FILE": file]))
                == "rabbit://file@h/")
        #expect(
            try url(load("transport_url_file: \(file)", environment: ["PIVOTD_TRANSPORT_URL": "rabbit://url@h/"]))
                == "rabbit://url@h/")
        #expect(
            try url(load(environment: ["PIVOTD_TRANSPORT_URL_FILE": "url", "CREDENTIALS_DIRECTORY": folder.path]))
                == "rabbit://file@h/")
        #expect(try problems("transport_url_file: /nowhere/url") == ["transport_url_file /nowhere/url: does not exist"])
        let empty = try folder.file("empty", " \n")
        #expect(try problems("transport_url_file: \(empty)") == ["transport_url_file \(empty): is empty"])
    }

    @Test func pipesAreReadOnce() throws {
        func pipe(_ text: String) throws -> (handle: FileHandle, path: String) {
            let pipe = Pipe()
            try pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8))
            try pipe.fileHandleForWriting.close()
            return (pipe.fileHandleForReading, "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)")
        }
        let (url, file) = (try pipe("rabbit://piped@h/\n"), try pipe("topic: piped"))
        let configuration = try load(flags: ["config": file.path, "transport_url_file": url.path])
        #expect(configuration.bus.topic == "piped" && configuration.bus.transportURL.reveal() == "rabbit://piped@h/")
        // As a reload does: what is empty now must not count as a file without settings.
        #expect(try problems(flags: ["config": file.path]) == ["configuration file \(file.path): is an empty pipe"])
        try url.handle.close()
        try file.handle.close()
    }

    @Test func limitsHoldInEveryLayer() throws {
        let problem = "max_concurrent_swaps must be: integer 1…1024; given: \"0\""
        #expect(try problems("max_concurrent_swaps: 0").map { $0.hasSuffix(problem) } == [true])
        #expect(
            try problems(flags: ["max_concurrent_swaps": "0"])
                == ["--max-concurrent-swaps must be: integer 1…1024; given: \"0\""])
        #expect(
            try problems(environment: ["PIVOTD_MAX_CONCURRENT_SWAPS": "0"])
                == ["PIVOTD_MAX_CONCURRENT_SWAPS must be: integer 1…1024; given: \"0\""])
        // Also where a stronger layer wins.
        #expect(try problems("prefetch: 0", flags: ["prefetch": "5"]).count == 1)
    }

    @Test func theMemberOfLimitsThatIsWrongIsNamed() throws {
        let allowed =
            "limits must be: list of {match: {side, driver, where}, bandwidth_mib_s, concurrent}, each with at least one of the last two"
        let side = "limits[0].match.side must be source, destination or either"
        let problem = try #require(try problems("topic: t\nlimits: [{match: {side: sources}}]").first)
        #expect(problem.hasSuffix("pivotd.yaml:2: \(allowed); \(side)"))
        let flags = ["limits": #"[{"match": {"side": "sources"}}]"#]
        #expect(try problems(flags: flags) == ["--\(allowed); \(side)"])
        #expect(try problems("limits: [nfs]").first?.hasSuffix("\(allowed); given: the list [nfs]") == true)
    }

    @Test func keysAreUniqueAndTheirDefaultsAreAllowed() throws {
        let keys = PivotdConfiguration.keys
        #expect(Set(keys.map(\.name)).count == keys.count)
        for key in keys where !key.defaultText.isEmpty {
            #expect(key.parse(.text(key.defaultText)) != nil, "\(key.name)")
        }
        let key = try #require(PivotdConfiguration.key("max_concurrent_swaps"))
        #expect(key.environmentVariable == "PIVOTD_MAX_CONCURRENT_SWAPS")
        #expect(key.flag == "max-concurrent-swaps")
    }

    @Test func suggestionsAreNear() {
        #expect(Suggestion.distance("abc", "acb") == 1)
        #expect(Suggestion.distance("", "abc") == 3)
        #expect(Suggestion.distance("kitten", "sitting") == 3)
        #expect(Suggestion.nearest(to: "tpoic", in: ["topic", "exchange"]) == "topic")
        #expect(Suggestion.nearest(to: "frobnicate", in: ["topic", "exchange"]) == nil)
    }
}
