import Foundation
import Settings
import Testing

@testable import DryRun

struct DryRunOptionsTests {
    @Test func everyPartIsRead() throws {
        let options = try DryRunOptions(
            uri:
                "dry-run:?rate=12.5&size=4&persistent=no&domains=/tmp/a%20b.json&fail=instance:ABC,disk:vdb,pivot&fail=share:0.25"
        )
        #expect(options.rateMiBs == 12.5)
        #expect(options.sizeGiB == 4)
        #expect(!options.isPersistent)
        #expect(options.domainsFile == "/tmp/a b.json")
        #expect(options.rules.map(\.step) == [.pivot, .copy])
        #expect(options.rules[0].instance == "abc")
        #expect(options.rules[0].disk == "vdb")
        #expect(options.rules[1].share == 0.25)
        #expect(try DryRunOptions(uri: "dry-run:") == DryRunOptions())
    }

    @Test func everyMistakeIsNamed() {
        let error = #expect(throws: ConfigurationError.self) {
            _ = try DryRunOptions(
                uri: "dry-run:?rate=-1&size=0&persistent=maybe&colour=red&fail=&fail=nowhere&fail=planet:x&fail=share:2")
        }
        #expect(error?.problems.count == 8)
        #expect(error?.problems.first == "libvirt_uri 'rate=-1': must be a number of MiB/s greater than 0")
        #expect(error?.description.contains("steps are lookup, off, undefine") == true)
    }

    @Test(arguments: ["dry-run", "dry-run?rate=1", "dry-run:x", "dry-run:?rate=1&rate=2", "dry-run:?=", "dry-run:?=1"])
    func aSlipIsNoOtherHypervisor(uri: String) {
        #expect(throws: ConfigurationError.self) { try DryRunOptions(uri: uri) }
    }

    @Test func aDiskMayBeNamedAsInMessages() throws {
        #expect(try DryRunOptions(uri: "dry-run:?fail=disk:/dev/vdb").rules[0].disk == "vdb")
    }

    @Test(arguments: [
        (#"{"name": "a", "disks": []}"#, "uuid: missing"), (#"{"uuid": "x", "name": "a"}"#, "uuid: must be a UUID"),
        (#"{"uuid": "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0001", "name": 1}"#, "name: must be a string"),
        (#"{"uuid": "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0001", "name": "a", "disk": []}"#, "unknown 'disk'; known are"),
        (#"{"uuid": "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0001", "name": "a", "running": "no"}"#, "running: must be true or false"),
        (
            #"{"uuid": "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0001", "name": "a", "disks": [{"target": "vda", "path": "x"}]}"#,
            "path: must be an absolute path"
        ),
        (
            #"{"uuid": "3c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a0001", "name": "a", "disks": [{"target": "vda", "path": "/x", "bytes": 0}]}"#,
            "bytes: must be a number greater than 0"
        ), ("7", "must be an object"),
    ])
    func mistakesInTheListOfDomainsAreNamed(entry: String, problem: String) throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("domains-\(UUID()).json")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data("[\(entry)]".utf8).write(to: file)
        let error = #expect(throws: ConfigurationError.self) {
            _ = try DryRunDomainList.read(file: file.path, options: DryRunOptions())
        }
        #expect(error?.problems.first?.hasPrefix("\(file.path): domain 0: \(problem)") == true)
    }

    @Test(arguments: [
        ("dry-run:", true, true), ("dry-run:?rate=1", true, true), ("dry-run:x", true, false), ("dry-run", true, false),
        ("qemu:///system", false, false),
    ])
    func theSchemeIsKnown(uri: String, isMeant: Bool, isRead: Bool) {
        #expect(DryRunOptions.isMeant(by: uri) == isMeant)
        #expect(((try? DryRunOptions(uri: uri)) != nil) == isRead)
    }
}
