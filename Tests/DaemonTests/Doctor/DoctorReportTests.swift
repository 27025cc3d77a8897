import JSON
import Testing
import VolumeSwap

@testable import Daemon

@Suite("Doctor's report and its table") struct DoctorReportTests {
    private static func debian12(_ domain: DomainIdentity? = nil) -> HypervisorFeatures {
        var features = HypervisorFeatures(libvirt: 9_000_000, qemu: 7_002_000)
        features.learn([.transientJob: true, .synchronousWrites: true, .keepTPM: true], .asked)
        if domain != nil {
            features.learn([.blockdevReopen: true, .blockJobChange: false, .writeBlocking: true, .targetIsZero: false], .asked)
        }
        features.domain = domain
        return features
    }

    private static let guest = DomainIdentity(uuid: "7f0c4a5e-3a39-4b8a-9f0e-2b6d0d0c7a11", name: "instance-0000002a")

    @Test("the table")
    func table() {
        #expect(
            FeatureTable(Self.debian12(Self.guest)).lines == [
                "FEATURE              HERE     BY       WITHOUT IT",
                "TRANSIENT_JOB        yes      asking   no copy works, only rebase",
                "SYNCHRONOUS_WRITES   yes      asking   swaps with synchronous_writes fail",
                "KEEP_TPM             yes      asking   no rebase of a domain with a vTPM",
                "resize drops slices  no       version  grown disks need hook pivotd-slices, too",
                "blockdev-reopen      yes      asking   no resize_to, no detect_zeroes",
                "block-job-change     no       asking   a copy is begun again to converge",
                "write-blocking       yes      asking   no convergence, no synchronous_writes",
                "target-is-zero       no       asking   nothing changes: pivotd never uses it",
                "QEMU: as asked of domain instance-0000002a; others may run an older one",
            ])
    }

    @Test("without anybody to ask, and with nothing known", arguments: [debian12(), .init(), .simulated, debian12(guest)])
    func width(features: HypervisorFeatures) {
        let lines = FeatureTable(features).lines
        #expect(lines.count == HypervisorFeature.allCases.count + 2)
        for line in lines { #expect(line.count <= 80, "\(line)") }
        let isKnown = features[.keepTPM].isSupported != nil
        #expect(lines.contains { $0.hasPrefix("KEEP_TPM             unknown  -        ") } == !isKnown)
        #expect(lines[lines.count - 1].contains("no running domain") == (features.domain == nil))
    }

    @Test("the monitor is off limits")
    func noMonitor() {
        var features = Self.debian12()
        features.learn([.blockdevReopen: false, .blockJobChange: false], .configuration)
        let lines = FeatureTable(features).lines
        #expect(lines.contains("blockdev-reopen      no       setting  no resize_to, no detect_zeroes"))
        #expect(lines.last == "QEMU: not asked, allow_monitor_commands is false")
        #expect(Doctor.qemu("7.2.0", features).remedy == "set allow_monitor_commands to true")
    }

    @Test("what is missing fails no check, but for the copy itself")
    func findings() {
        #expect(Doctor.libvirt("qemu:///system, version 9.0.0", Self.debian12()).status == .ok)
        #expect(Doctor.libvirt("qemu:///system, version 9.0.0", .init()).status == .ok)
        #expect(Doctor.libvirt("version 3.4.0", .init(libvirt: 3_004_000, qemu: nil)).status == .failure)
        #expect(Doctor.qemu("7.2.0", Self.debian12(Self.guest)) == .ok("qemu", "version 7.2.0"))
        var older = Self.debian12(Self.guest)
        older.learn([.blockdevReopen: false], .asked)
        let finding = Doctor.qemu("7.2.0", older)
        #expect(finding.status == .warning && finding.detail.contains("domain instance-0000002a runs an older one"))
        #expect(DoctorReport([finding], older).isHealthy)
    }

    @Test("lines and JSON")
    func forms() {
        let finding = Finding.failure("x", "y", remedy: "z")
        let plain = DoctorReport([finding])
        #expect(plain.lines == ["FAIL x: y — z"] && !plain.isHealthy)
        #expect(plain.json["features"] == .null && plain.json["healthy"] == false && plain.json["checks"]?.arrayValue?.count == 1)
        let whole = DoctorReport([.ok("x", "y")], Self.debian12(Self.guest))
        #expect(whole.lines.count == 2 + 10 && whole.lines[1].isEmpty && whole.isHealthy)
        #expect(whole.json["features"]?["keep_tpm"] == ["supported": true, "basis": "asked"])
        #expect(whole.json["features"]?["resize_drops_slices"] == ["supported": false, "basis": "version"])
        let unknown = DoctorReport([], .init())
        #expect(unknown.json["features"]?["keep_tpm"] == ["supported": nil, "basis": nil])
    }
}
