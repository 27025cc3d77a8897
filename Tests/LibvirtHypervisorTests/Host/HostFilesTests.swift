import Foundation
import Testing
import VolumeSwap

@testable import LibvirtHypervisor

@Suite("Files that the host itself uses")
struct HostFilesTests {
    @Test("Swap files in /proc/swaps, their names unescaped; devices are left out")
    func swaps() {
        let text = """
            Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
            /dev/dm-1                               partition\t999420\t\t0\t\t-2
            /swapfile                               file\t\t2097148\t\t0\t\t-3
            /a\\040b\\134\\303\\244\\011 \tfile\t\t8\t\t0\t\t-4
            /odd\\9\\77                             file\t\t8\t\t0\t\t-5
            broken
            """
        #expect(SwapList.files(text) == ["/swapfile", "/a b\\\u{e4}\t", "/odd\\9\\77"])
        #expect(SwapList.files("") == [])
        #expect(SwapList.devices(text) == ["/dev/dm-1"])
    }

    @Test("Files of loop devices, also of removed names; devices without a file are left out")
    func loops() async throws {
        try await HostPathsTests.withDirectory { directory in
            let (system, swaps) = ("\(directory)/sys", "\(directory)/swaps")
            try BlockDevicesTests.write("/volumes/a", to: "\(system)/block/loop0/loop/backing_file")
            try BlockDevicesTests.write("/volumes/b (deleted)", to: "\(system)/block/loop12/loop/backing_file")
            try BlockDevicesTests.write("7:1", to: "\(system)/block/loop1/dev")
            try BlockDevicesTests.write("8:0", to: "\(system)/block/sda/dev")
            var files = HostFiles(systemDirectory: system, swapList: swaps)
            let loops = [
                HostFile(path: "/volumes/a", user: "the loop device /dev/loop0"),
                HostFile(path: "/volumes/b (deleted)", user: "the loop device /dev/loop12"),
                HostFile(path: "/volumes/b", user: "the loop device /dev/loop12"),
            ]
            #expect(try await HostPaths(files: files).filesInUse() == loops)
            try BlockDevicesTests.write("Filename Type Size Used Priority\n/swap file 8 0 -2", to: swaps)
            #expect(try await HostPaths(files: files).filesInUse() == loops + [HostFile(path: "/swap", user: "swap space")])
            files.systemDirectory = "\(directory)/none"
            #expect(files.inUse() == [HostFile(path: "/swap", user: "swap space")])
        }
    }

    @Test("A real loop device", .enabled(if: RealVolume.isPossible))
    func realLoop() async throws {
        try await HostPathsTests.withDirectory { directory in
            let path = "\(directory)/an image"
            try await RealVolume.withLoop(path) { device in
                let files = try await HostPaths().filesInUse()
                #expect(files.contains(HostFile(path: path, user: "the loop device \(device)")))
            }
            #expect(try await !HostPaths().filesInUse().contains { $0.path == path })
        }
    }
}
