import Foundation
import Testing

@testable import Daemon

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

    @Test(arguments: [("dry-run:", true), ("dry-run:?rate=1", true), ("qemu:///system", false), ("dry-run:x", false)])
    func theSchemeIsKnown(uri: String, isDryRun: Bool) {
        #expect(DryRunOptions.isDryRun(uri: uri) == isDryRun)
    }
}
