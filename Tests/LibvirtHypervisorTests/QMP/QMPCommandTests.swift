import JSON
import Testing
import VolumeSwap

@testable import LibvirtHypervisor

@Suite struct QMPCommandTests {
    @Test func itsTextIsQMP() {
        #expect(QMPCommand.queryBlock.text == #"{"execute":"query-block"}"#)
        #expect(QMPCommand.queryNodes.text == #"{"execute":"query-named-block-nodes","arguments":{"flat":true}}"#)
    }

    @Test func answersAreReturnsOrErrors() throws {
        let command = QMPCommand("job-complete")
        #expect(try command.result(of: #"{"return": [1], "id": "libvirt-9"}"#) == [1])
        let refusal = #expect(throws: HypervisorError.self) {
            try command.result(of: #"{"error": {"class": "GenericError", "desc": "Job not found"}}"#)
        }
        #expect(refusal == HypervisorError(.other, "QEMU refused job-complete: Job not found"))
        #expect(throws: HypervisorError.self) { try command.result(of: "…") }
    }
}

@Suite struct ForceAbortTests {
    @Test func theDestinationAloneIsYanked() throws {
        let recording = try #require(Recording.of("nbd server that does not answer").first)
        let index = try #require(recording.disk.mirrorIndex)
        #expect(ForceAbort.yanking(volume: index, recording.instances).map { [$0] } == recording.sent)
        #expect(ForceAbort.yanking(volume: "99", recording.instances) == nil)
        // The yank has ended the job, and libvirt has not dismissed it yet.
        #expect(ForceAbort.cancelling(disk: "vdb", recording.jobs) == nil)
    }

    @Test func aCopyIsCancelledWithForce() {
        let jobs: JSONValue = [
            ["id": "commit-vdb", "status": "running"], ["id": "copy-vda-libvirt-1-format", "status": "running"],
            ["id": "copy-vdb-libvirt-2-format", "status": "ready"],
        ]
        #expect(
            ForceAbort.cancelling(disk: "vdb", jobs)
                == QMPCommand("block-job-cancel", ["device": "copy-vdb-libvirt-2-format", "force": true]))
        #expect(ForceAbort.cancelling(disk: "vdc", jobs) == nil)
    }
}

@Suite struct CopyModeTests {
    @Test func qemuSaysWhetherItCanChangeACopy() {
        #expect(CopyMode.canChange([["name": "query-status"], ["name": "block-job-change"]]))
        #expect(!CopyMode.canChange([["name": "block-job-cancel"]]))
        #expect(!CopyMode.canChange(nil))
    }

    @Test func qemuSaysByItsVersionWhetherItSurvivesACopy() {
        func isSafe(_ major: Int64, _ minor: Int64, _ micro: Int64) -> Bool {
            let version: JSONValue = ["major": .integer(major), "minor": .integer(minor), "micro": .integer(micro)]
            return CopyMode.isSafe(["qemu": version, "package": "Debian 1:10.1"])
        }
        #expect(QMPCommand.queryVersion.text == #"{"execute":"query-version"}"#)
        for version: (Int64, Int64, Int64) in [(7, 2, 22), (10, 0, 13), (11, 0, 0), (11, 1, 2)] {
            #expect(isSafe(version.0, version.1, version.2), "\(version)")
        }
        for version: (Int64, Int64, Int64) in [(10, 1, 0), (10, 1, 3), (10, 2, 0), (10, 2, 94)] {
            #expect(!isSafe(version.0, version.1, version.2), "\(version)")
        }
    }

    @Test func anUnreadableVersionIsNotSafe() {
        let huge: JSONValue = ["qemu": ["major": 1_000_000, "minor": 0, "micro": -1]]
        for answer: JSONValue in [nil, [], ["qemu": ["major": 11, "minor": 0]], huge] {
            #expect(!CopyMode.isSafe(answer), "\(answer)")
        }
    }

    @Test func onlyTheDisksOwnRunningCopyIsChanged() {
        func change(_ id: String, _ status: String) -> QMPCommand? {
            CopyMode.writeBlocking(disk: "vdb", [["id": .string(id), "status": .string(status), "type": "mirror"]])
        }
        let id = "copy-vdb-libvirt-2-format"
        for status in ["running", "ready", "paused", "standby"] {
            #expect(
                change(id, status)?.text
                    == #"{"execute":"block-job-change","arguments":{"id":"\#(id)","type":"mirror","copy-mode":"write-blocking"}}"#
            )
        }
        for status in ["concluded", "aborting", "pending", "null"] { #expect(change(id, status) == nil) }
        #expect(change("copy-vdc-libvirt-3-format", "running") == nil)
        #expect(CopyMode.writeBlocking(disk: "vdb", []) == nil)
    }
}
