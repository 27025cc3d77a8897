// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// Swift Testing's macros expand to code that strict memory safety would flag, so tests do without that one setting.
let testSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

extension Target.Dependency {
    static let argumentParser = product(name: "ArgumentParser", package: "swift-argument-parser")
    static let asyncAlgorithms = product(name: "AsyncAlgorithms", package: "swift-async-algorithms")
    static let atomics = product(name: "Atomics", package: "swift-atomics")
    static let collections = product(name: "OrderedCollections", package: "swift-collections")
    static let heap = product(name: "HeapModule", package: "swift-collections")
    static let deque = product(name: "DequeModule", package: "swift-collections")
    static let grdb = product(name: "GRDB", package: "GRDB.swift")
    static let grdbSQLite = product(name: "GRDBSQLite", package: "GRDB.swift")
    static let logging = product(name: "Logging", package: "swift-log")
    static let metrics = product(name: "Metrics", package: "swift-metrics")
    static let nioCore = product(name: "NIOCore", package: "swift-nio")
    static let nioHTTP1 = product(name: "NIOHTTP1", package: "swift-nio")
    static let nioPosix = product(name: "NIOPosix", package: "swift-nio")
    static let serviceLifecycle = product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let subprocess = product(name: "Subprocess", package: "swift-subprocess")
    static let system = product(name: "SystemPackage", package: "swift-system")
    static let unixSignals = product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let yams = product(name: "Yams", package: "Yams")
}

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: testSettings)
}

let package = Package(
    name: "pivotd",
    products: [.executable(name: "pivotd", targets: ["pivotd"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        // This and swift-atomics are what other packages use: without a version of their own here they would be the newest.
        .package(url: "https://github.com/apple/swift-async-algorithms", exact: "1.1.4"),
        .package(url: "https://github.com/apple/swift-atomics", exact: "1.3.0"),
        .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", exact: "1.0.2"),
    ],
    targets: [
        .systemLibrary(name: "CJansson", pkgConfig: "jansson", providers: [.apt(["libjansson-dev"])]),
        .systemLibrary(name: "CRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLibvirt", pkgConfig: "libvirt-qemu", providers: [.apt(["libvirt-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

        module("Basics", [.deque, .heap]),
        module("Budgets", []),
        module("JSON", ["CJansson", .collections]),
        module("AMQP", ["Basics", "COpenSSL", "CRabbitMQ", .logging, .deque]),
        module("Libvirt", ["Basics", "CLibvirt", .logging]),
        module("OsloMessaging", ["Basics", "CZlib", "JSON", "AMQP", .logging, .metrics, .deque, .heap]),
        module("VolumeSwap", ["Basics", "Budgets", "JSON", .logging, .deque]),
        module("BulkMove", ["JSON", "VolumeSwap"]),
        module("Journal", ["Basics", "JSON", "VolumeSwap", .grdb, .logging, .metrics]),
        module("Capture", ["Basics", "CZlib", "JSON", "AMQP", "OsloMessaging", .collections, .logging]),
        module("SwapBus", ["Basics", "JSON", "OsloMessaging", "VolumeSwap", "Observability", .logging, .metrics]),
        module("Observability", ["Basics", "JSON", .logging, .metrics, .nioCore, .nioHTTP1, .nioPosix]),
        module("Settings", ["Basics", "Budgets", "Observability", .yams, .logging]),
        module("LibvirtHypervisor", ["Basics", "JSON", "Libvirt", "VolumeSwap", .logging, .metrics, .system]),
        module("DryRun", ["Basics", "JSON", "VolumeSwap", "Settings"]),
        module(
            "Daemon",
            [
                "Basics", "JSON", "AMQP", "Libvirt", "OsloMessaging", "VolumeSwap", "SwapBus", "Journal", "Capture",
                "Observability", "Settings", "LibvirtHypervisor", "DryRun", .logging, .metrics, .serviceLifecycle,
                .unixSignals, .subprocess, .system,
            ]),
        .executableTarget(
            name: "pivotd",
            dependencies: [
                "Basics", "JSON", "AMQP", "OsloMessaging", "VolumeSwap", "BulkMove", "Capture", "Observability", "Settings",
                "Daemon", .argumentParser, .logging, .serviceLifecycle, .unixSignals,
                // Not imported: SwiftPM warns of a package that no target uses.
                .asyncAlgorithms, .atomics,
            ],
            swiftSettings: settings),

        .target(
            name: "HypervisorConformance", dependencies: ["VolumeSwap"], path: "Tests/Support/HypervisorConformance",
            swiftSettings: testSettings),
        .target(
            name: "JournalConformance", dependencies: ["JSON", "VolumeSwap"], path: "Tests/Support/JournalConformance",
            swiftSettings: testSettings),
        .executableTarget(
            name: "Allocations", dependencies: ["JSON", "Journal", "OsloMessaging", "SwapBus", "VolumeSwap"],
            path: "Tests/Bench/Allocations", swiftSettings: testSettings),
        .target(
            name: "CollectedLog", dependencies: [.logging], path: "Tests/Support/CollectedLog", swiftSettings: testSettings),
        .target(name: "SeededRandom", path: "Tests/Support/SeededRandom", swiftSettings: testSettings),
        tests("BasicsTests", ["Basics"]),
        tests("BudgetsTests", ["Budgets"]),
        tests("JSONTests", ["JSON", "SeededRandom"]),
        tests("AMQPTests", ["AMQP", "Basics", "CRabbitMQ", .logging]),
        tests("LibvirtTests", ["Libvirt", .logging]),
        tests("OsloMessagingTests", ["CZlib", "OsloMessaging", "AMQP", "JSON"]),
        tests(
            "VolumeSwapTests",
            ["VolumeSwap", "Basics", "Budgets", "HypervisorConformance", "JournalConformance", "JSON", "SeededRandom"]),
        tests("BulkMoveTests", ["BulkMove", "JSON"]),
        tests("SwapBusTests", ["SwapBus", "VolumeSwap", "OsloMessaging", "JSON", .logging]),
        tests("JournalTests", ["Journal", "JournalConformance", "VolumeSwap", "JSON", .grdb, .grdbSQLite, .logging]),
        tests("CaptureTests", ["Capture", "AMQP", "OsloMessaging", "JSON"]),
        tests("ObservabilityTests", ["Observability", "JSON", .logging, .metrics]),
        tests("SettingsTests", ["Settings", "Budgets", "JSON"]),
        tests(
            "pivotdTests",
            ["pivotd", "AMQP", "Basics", "BulkMove", "JSON", "OsloMessaging", "VolumeSwap", .argumentParser, .logging]),
        tests(
            "LibvirtHypervisorTests",
            ["LibvirtHypervisor", "CollectedLog", "HypervisorConformance", "Libvirt", "VolumeSwap", "JSON", .logging]),
        tests("DryRunTests", ["DryRun", "HypervisorConformance", "Settings", "VolumeSwap", "JSON"]),
        tests(
            "MutationTests",
            [
                "AMQP", "Capture", "Daemon", "JSON", "OsloMessaging", "SeededRandom", "Settings", "SwapBus", "VolumeSwap",
                .logging,
            ]),
        tests(
            "DaemonTests",
            [
                "Daemon", "Settings", "AMQP", "Capture", "CollectedLog", "Journal", "VolumeSwap", "OsloMessaging",
                "Observability",
                "JSON", .logging,
            ]),
    ]
)
