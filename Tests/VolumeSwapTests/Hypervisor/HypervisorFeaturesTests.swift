import Testing

@testable import VolumeSwap

@Suite struct HypervisorFeaturesTests {
    @Test(
        "what versions have",
        arguments: [
            (3_004_000, 2_011_000, []),
            (9_000_000, 7_002_019, [.transientJob, .synchronousWrites, .keepTPM, .blockdevReopen]),
            (
                11_003_000, 10_000_002,
                [.transientJob, .synchronousWrites, .keepTPM, .resizeDropsSlices, .blockdevReopen, .blockJobChange]
            ),
            (11_006_000, 10_001_000, Set(HypervisorFeature.allCases)),
        ] as [(UInt, UInt, Set<HypervisorFeature>)])
    func versions(libvirt: UInt, qemu: UInt, expected: Set<HypervisorFeature>) {
        let features = HypervisorFeatures(libvirt: libvirt, qemu: qemu)
        for feature in HypervisorFeature.allCases {
            #expect(features[feature] == .init(expected.contains(feature), .version), "\(feature)")
        }
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
