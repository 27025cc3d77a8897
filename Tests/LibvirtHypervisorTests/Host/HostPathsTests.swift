import Foundation
import Glibc
import Testing
import VolumeSwap

@testable import LibvirtHypervisor

@Suite("What the host knows about a path")
struct HostPathsTests {
    /// A directory of its own, its links resolved.
    static func directory() throws -> URL {
        let url = FileManager.default.temporaryDirectory.resolvingSymlinksInPath()
            .appending(path: "host-paths-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    static func withDirectory(_ body: (String) async throws -> Void) async throws {
        let url = try directory()
        defer { try? FileManager.default.removeItem(at: url) }
        try await body(url.path(percentEncoded: false))
    }

    static func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
    }

    @Test("A file: kind, exact size, no device number")
    func file() async throws {
        try await Self.withDirectory { directory in
            let path = "\(directory)/volume"
            try Data(count: 12345).write(to: URL(filePath: path))
            let place = try #require(try await HostPaths().inspect(path))
            #expect(place.kind == .file && place.bytes == 12345)
            #expect(place.canonicalPath == path && place.names == [path])
            #expect(place.deviceNumber == nil && place.fileID != nil)
            #expect(await HostPaths().look(at: path, of: .swap) == .found(place))
        }
    }

    @Test("A missing path, and a path below a file, is nil")
    func missing() async throws {
        try await Self.withDirectory { directory in
            #expect(try await HostPaths().inspect("\(directory)/none") == nil)
            try Data().write(to: URL(filePath: "\(directory)/file"))
            #expect(try await HostPaths().inspect("\(directory)/file/below") == nil)
            try Self.link("\(directory)/dangling", to: "none")
            #expect(try await HostPaths().inspect("\(directory)/dangling") == nil)
        }
    }

    @Test("Links are followed and each name is kept; dots are resolved")
    func links() async throws {
        try await Self.withDirectory { directory in
            let path = "\(directory)/volume"
            try Data(count: 1).write(to: URL(filePath: path))
            try Self.link("\(directory)/relative", to: "volume")
            try Self.link("\(directory)/absolute", to: "\(directory)/relative")
            let place = try #require(try await HostPaths().inspect("\(directory)/absolute"))
            #expect(place.canonicalPath == path)
            #expect(place.names == ["\(directory)/absolute", "\(directory)/relative", path])
            let dotted = try #require(
                try await HostPaths().inspect("\(directory)/../\(directory.split(separator: "/").last ?? "")/./volume"))
            #expect(dotted.canonicalPath == path)
            #expect(dotted.names == [path])
        }
    }

    @Test("A linked directory is judged by its target")
    func linkedDirectory() async throws {
        try await Self.withDirectory { directory in
            let inside = "\(directory)/inside"
            try FileManager.default.createDirectory(atPath: inside, withIntermediateDirectories: false)
            try Data(count: 1).write(to: URL(filePath: "\(directory)/secret"))
            try Self.link("\(inside)/out", to: "..")
            let place = try #require(try await HostPaths().inspect("\(inside)/out/secret"))
            #expect(place.canonicalPath == "\(directory)/secret")
            #expect(!PathPolicy([inside]).allows(place))
            #expect(PathPolicy([directory]).allows(place))
        }
    }

    @Test("A look that was given up is no answer of the path's")
    func givenUp() async throws {
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            #expect(await HostPaths().look(at: "/", of: .swap) == .noAnswer)
            return try await HostPaths().inspect("/")
        }
        task.cancel()
        let error = await #expect(throws: HypervisorError.self) { try await task.value }
        #expect(error?.code == .busy)
    }

    @Test("A loop of links is an error, not a hang")
    func loop() async throws {
        try await Self.withDirectory { directory in
            try Self.link("\(directory)/a", to: "b")
            try Self.link("\(directory)/b", to: "a")
            await #expect(throws: HypervisorError.self) { try await HostPaths().inspect("\(directory)/a") }
            guard case .failed(let reason) = await HostPaths().look(at: "\(directory)/a", of: .swap) else {
                Issue.record("a loop of links was looked at")
                return
            }
            #expect(reason.contains("symbolic links"))
        }
    }

    @Test("Directories and character devices are not volumes", arguments: ["/dev", "/dev/null", "/"])
    func other(path: String) async throws {
        #expect(try await HostPaths().inspect(path)?.kind == .other)
    }

    @Test("A hard link is the same file, a copy is not")
    func hardLink() async throws {
        try await Self.withDirectory { directory in
            let path = "\(directory)/volume"
            try Data(count: 7).write(to: URL(filePath: path))
            try FileManager.default.linkItem(atPath: path, toPath: "\(directory)/link")
            try FileManager.default.copyItem(atPath: path, toPath: "\(directory)/copy")
            let place = try await HostPaths().inspect(path)
            #expect(try await HostPaths().inspect("\(directory)/link")?.fileID == place?.fileID)
            #expect(try await HostPaths().inspect("\(directory)/copy")?.fileID != place?.fileID)
        }
    }

    @Test("A LUKS header, of either version, by its UUID")
    func luksHeader() async throws {
        try await Self.withDirectory { directory in
            let path = "\(directory)/volume"
            let uuid = "0b6f2d57-6f0f-4f7d-8a3e-0d5c9f1f1a01"
            for version in [UInt8(1), 2] {
                var header = Data("LUKS".utf8) + [0xBA, 0xBE, 0, version] + Data(count: 1016)
                header.replaceSubrange(168..<(168 + uuid.utf8.count), with: Data(uuid.utf8))
                header[106] = 0x08
                try header.write(to: URL(filePath: path))
                #expect(try await HostPaths().luksUUID(path) == uuid)
                #expect(try await HostPaths().luksPayloadOffset(path) == (version == 1 ? 0x800 * 512 : nil))
            }
            for bytes in [Data(), Data("LUKS".utf8), Data(count: 4096)] {
                try bytes.write(to: URL(filePath: path))
                #expect(try await HostPaths().luksUUID(path) == nil)
            }
            #expect(try await HostPaths().luksUUID("\(directory)/none") == nil)
            let unreadable = await #expect(throws: HypervisorError.self) { try await HostPaths().luksUUID(directory) }
            #expect(unreadable?.code == .other && unreadable?.message.contains("Is a directory") == true)
            // Root may read everything.
            guard geteuid() != 0 else { return }
            try #require(chmod(path, 0) == 0)
            let denied = await #expect(throws: HypervisorError.self) { try await HostPaths().luksUUID(path) }
            #expect(denied?.code == .denied)
            #expect(try await HostPaths().luksPayloadOffset(path) == nil)
        }
    }

    @Test("What the kernel lists is read however many paths hang")
    func systemAnswers() async throws {
        let pool = ProbePool(threads: 1, hungThreads: 1)
        let hang = ProbePoolTests.Hang()
        defer { hang.end() }
        #expect(await pool.ask("/mnt/dead/disk", patience: ProbePoolTests.moment) { hang.ask() } == nil)
        let host = HostPaths(own: pool)
        await #expect(throws: HypervisorError.self) { try await host.inspect("/") }
        #expect(try await host.networkDevices(of: "nbd").isEmpty)
        #expect(try await host.scsiDisk(at: SCSIAddress(host: 9999, bus: 0, target: 0, unit: 1)) == nil)
        _ = try await host.filesInUse()
    }

    @Test("Many concurrent probes")
    func manyAtOnce() async throws {
        try await Self.withDirectory { directory in
            let path = "\(directory)/volume"
            try Data(count: 7).write(to: URL(filePath: path))
            try await withThrowingTaskGroup(of: Int64?.self) { group in
                for _ in 0..<200 { group.addTask { try await HostPaths().inspect(path)?.bytes } }
                for try await bytes in group { #expect(bytes == 7) }
            }
        }
    }
}

@Suite("What the host knows about devices and mounts", .enabled(if: RealVolume.isPossible), .timeLimit(.minutes(10)))
struct HostDevicesTests {
    @Test("A block device: its size is known once it is opened, its number before; the file behind it is another name")
    func loop() async throws {
        try await HostPathsTests.withDirectory { directory in
            let file = "\(directory)/image"
            try await RealVolume.withLoop(file) { device in
                let place = try #require(await HostPaths().look(at: device, of: .swap).place)
                #expect(place.kind == .block && place.bytes == 0 && place.deviceNumber != nil)
                #expect(place.loopFile == file)
                #expect(try await HostPaths().inspect(device)?.bytes == 8 << 20)
                let node = "\(directory)/node"
                try #require(mknod(node, S_IFBLK | 0o600, dev_t(place.deviceNumber ?? 0)) == 0)
                #expect(await HostPaths().look(at: node, of: .swap).place?.deviceNumber == place.deviceNumber)
            }
        }
    }

    @Test("A mounted device is held by the host, one that QEMU may have open is not")
    func held() async throws {
        try await HostPathsTests.withDirectory { directory in
            try await RealVolume.withLoop("\(directory)/image", bytes: 16 << 20) { device in
                #expect(try await !HostPaths().isHeld(device))
                let reader = open(device, O_RDWR | O_CLOEXEC)
                defer { close(reader) }
                #expect(try await !HostPaths().isHeld(device))
                #expect(try await HostPaths().use(of: device) == nil)
                #expect(try await HostPaths().use(of: "\(directory)/none") == nil)
                let pool = ProbePool()
                let hang = ProbePoolTests.Hang()
                defer { hang.end() }
                #expect(await pool.ask(device, patience: ProbePoolTests.moment) { hang.ask() } == nil)
                let host = HostPaths(own: pool)
                await #expect(throws: HypervisorError.self) { try await host.isHeld(device) }
                #expect(try await host.use(of: device) == nil)
                try RealVolume.run("mkfs.ext4", "-q", "-F", device)
                let mountPoint = "\(directory)/mount"
                try FileManager.default.createDirectory(atPath: mountPoint, withIntermediateDirectories: false)
                try RealVolume.run("mount", device, mountPoint)
                defer { _ = try? RealVolume.run("umount", mountPoint) }
                #expect(try await HostPaths().isHeld(device))
                #expect(try await HostPaths().use(of: device) == HostUse())
                #expect(try await host.use(of: device) == HostUse(), "also if an open does not answer")
            }
        }
    }

    @Test("Checks of one device at the same moment do not take each other for the host")
    func checkedTogether() async throws {
        try await HostPathsTests.withDirectory { directory in
            try await RealVolume.withLoop("\(directory)/image") { device in
                let isHeld = try await withThrowingTaskGroup(of: Bool.self) { group in
                    for _ in 0..<200 { group.addTask { try await HostPaths().isHeld(device) } }
                    return try await group.contains(true)
                }
                #expect(!isHeld)
            }
        }
    }

    @Test("udev's links to a device, and an rbd image's name, as sysfs and /dev show them")
    func links() async throws {
        try await HostPathsTests.withDirectory { directory in
            try await RealVolume.withLoop("\(directory)/image") { device in
                let name = URL(filePath: device).lastPathComponent
                let byPath = "\(directory)/dev/disk/by-path"
                try FileManager.default.createDirectory(atPath: byPath, withIntermediateDirectories: true)
                let link = "\(byPath)/ip-10.0.0.1:3260-iscsi-iqn.a:b-lun-1"
                try HostPathsTests.link(link, to: "../../\(name)")
                try HostPathsTests.link("\(byPath)/other", to: "../../\(name)0")
                let host = HostPaths(devices: BlockDevices(deviceDirectory: "\(directory)/dev"))
                #expect(await host.look(at: device, of: .swap).place?.links == [link])
            }
        }
    }

    @Test("A bind mount shows the same file")
    func bindMount() async throws {
        try await HostPathsTests.withDirectory { directory in
            let (one, other) = ("\(directory)/one", "\(directory)/other")
            for path in [one, other] { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }
            try Data(count: 7).write(to: URL(filePath: "\(one)/volume"))
            try RealVolume.run("mount", "--bind", one, other)
            defer { _ = try? RealVolume.run("umount", other) }
            let place = try await HostPaths().inspect("\(one)/volume")
            let bound = try await HostPaths().inspect("\(other)/volume")
            #expect(bound?.canonicalPath == "\(other)/volume")
            #expect(place?.fileID != nil && bound?.fileID == place?.fileID)
        }
    }

    @Test("A dead mount costs its patience once, then nothing, and delays nobody else")
    func hungMount() async throws {
        try await HostPathsTests.withDirectory { directory in
            let dead = "\(directory)/dead"
            try FileManager.default.createDirectory(atPath: dead, withIntermediateDirectories: false)
            try Data(count: 7).write(to: URL(filePath: "\(directory)/volume"))
            let pool = ProbePool()
            let host = HostPaths(foreign: pool)
            try await RealVolume.withHungMount(dead) { () async throws -> Void in
                #expect(await host.look(at: "\(dead)/disk", of: .another) == .noAnswer)
                #expect(pool.hung == 1)
                // At once: no second thread waits for it.
                #expect(await host.backingFile(of: "\(dead)/disk") == .noAnswer)
                #expect(await host.look(at: "\(dead)/disk", of: .another) == .noAnswer)
                #expect(pool.hung == 1)
                #expect(try await host.inspect("\(directory)/volume")?.bytes == 7)
            }
            try await ProbePoolTests.waitUntil { pool.hung == 0 }
        }
    }
}

@Suite("Addresses of a host's name")
struct HostAddressesTests {
    @Test("This host's addresses in any spelling", arguments: ["127.0.0.1", "127.1", "localhost", "::1", "127.8.8.8", "0"])
    func loopback(name: String) async {
        #expect(await HostAddresses().addresses(of: name) == [NetworkLocation.loopback])
    }

    @Test("An address has one canonical spelling; a name that does not resolve has none")
    func others() async {
        #expect(await HostAddresses().addresses(of: "192.0.2.7") == ["192.0.2.7"])
        #expect(await HostAddresses().addresses(of: "::ffff:192.0.2.7") == ["192.0.2.7"])
        #expect(await HostAddresses().addresses(of: "no such host") == [])
    }
}
