import Testing

@testable import VolumeSwap

@Suite struct HypervisorFeaturesTests {
    @Test(
        "what versions have",
        arguments: [
            (3_004_000, 2_011_000, []),
            (9_000_000, 7_002_019, [.transientJob, .synchronousWrites, .keepTPM, .blockdevReopen, .writeBlocking]),
            (
                11_003_000, 10_000_002,
                [
                    .transientJob, .synchronousWrites, .keepTPM, .resizeDropsSlices, .blockdevReopen, .blockJobChange,
                    .writeBlocking,
                ]
            ),
            (11_006_000, 10_001_000, Set(HypervisorFeature.allCases).subtracting([.writeBlocking])),
            (12_001_000, 11_000_000, Set(HypervisorFeature.allCases)),
        ] as [(UInt, UInt, Set<HypervisorFeature>)])
    func versions(libvirt: UInt, qemu: UInt, expected: Set<HypervisorFeature>) {
        let features = HypervisorFeatures(libvirt: libvirt, qemu: qemu)
        for feature in HypervisorFeature.allCases {
            #expect(features[feature] == .init(expected.contains(feature), .version), "\(feature)")
        }
    }

    @Test(
        "write-blocking copies abort QEMU 10.1 and 10.2",
        arguments: [
            (2_011_000, false), (3_000_000, true), (7_002_022, true), (10_000_013, true), (10_000_999, true), (10_001_000, false),
            (10_001_005, false), (10_002_000, false), (10_002_094, false), (11_000_000, true), (11_001_002, true),
        ] as [(UInt, Bool)])
    func writeBlocking(qemu: UInt, isSafe: Bool) {
        #expect(HypervisorFeature.writeBlocking.isIn(qemu) == isSafe)
    }

    @Test("nothing follows from a version that is not known")
    func unknown() {
        let features = HypervisorFeatures(libvirt: 11_003_000, qemu: nil)
        for feature in HypervisorFeature.allCases {
            #expect(features[feature] == (feature.program == .libvirt ? .init(true, .version) : .init(nil, nil)))
            #expect(HypervisorFeatures()[feature] == .init())
        }
    }

    @Test("what was asked replaces what was concluded: versions with and without a backport")
    func learning() {
        var features = HypervisorFeatures(libvirt: 8_005_000, qemu: 10_001_000)
        features.learn([.keepTPM: true, .targetIsZero: false], .asked)
        #expect(features[.keepTPM] == .init(true, .asked))
        #expect(features[.targetIsZero] == .init(false, .asked))
        #expect(features[.synchronousWrites] == .init(true, .version))
    }

    @Test("growing needs blockdev-reopen and the monitor")
    func growing() {
        #expect(HypervisorFeatures(libvirt: nil, qemu: 7_000_000).growSupport == .supported)
        #expect(HypervisorFeatures(libvirt: nil, qemu: 6_002_000).growSupport == .withoutReopen)
        #expect(HypervisorFeatures().growSupport == .withoutReopen)
        var features = HypervisorFeatures(libvirt: nil, qemu: 7_000_000)
        features.learn([.blockdevReopen: false], .configuration)
        #expect(features.growSupport == .withoutMonitor)
    }

    @Test("a simulated hypervisor has everything")
    func simulated() {
        for feature in HypervisorFeature.allCases { #expect(HypervisorFeatures.simulated[feature] == .init(true, .simulated)) }
    }
}
