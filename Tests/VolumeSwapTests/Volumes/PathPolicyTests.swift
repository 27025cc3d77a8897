import Testing

@testable import VolumeSwap

@Suite("allowed_paths")
struct PathPolicyTests {
    static func place(_ path: String, kind: PathDescription.Kind = .file, names: [String] = []) -> PathDescription {
        PathDescription(kind: kind, bytes: 1, canonicalPath: path, names: names, deviceNumber: kind == .block ? 1 : nil)
    }

    @Test(
        "Directories and globs",
        arguments: [
            (["/mnt"], "/mnt/a", true), (["/mnt"], "/mnt/a/b/c", true), (["/mnt/"], "/mnt/a", true), (["/mnt"], "/mnt", true),
            (["/mnt"], "/mnt2/a", false), (["/mnt"], "/mn", false), (["/mnt"], "/a/mnt/b", false), (["/"], "/anything", true),
            (["/dev/loop*"], "/dev/loop0", true), (["/dev/loop*"], "/dev/loop12", true), (["/dev/loop*"], "/dev/sda", false),
            (["/dev/loop*"], "/dev/xloop0", false), (["/dev/loop*"], "/dev/mapper/loop0", false),
            (["/dev/vg-?"], "/dev/vg-a", true), (["/dev/vg-?"], "/dev/vg-ab", false), (["/dev/vg-?"], "/dev/vg-/", false),
            (["/dev/sd[b-d]"], "/dev/sdc", true), (["/dev/sd[b-d]"], "/dev/sde", false), (["/dev/sd[!a]"], "/dev/sda", false),
            (["/dev/sd[!a]"], "/dev/sdb", true), (["/dev/sd[^a]"], "/dev/sda", false), (["/dev/sd[ab"], "/dev/sda", false),
            (["/dev/disk/by-*"], "/dev/disk/by-id/scsi-1", true), (["/dev/disk/by-*"], "/dev/disk/other", false),
            (["/a/*/c"], "/a/b/c", true), (["/a/*/c"], "/a/b/x/c", false), (["/a/*/c"], "/a/b/c/d", true),
            (["/mnt/\u{E9}"], "/mnt/\u{E9}/a", true), (["/mnt/\u{E9}"], "/mnt/e\u{301}/a", false),
            (["/mnt/\u{E9}?"], "/mnt/e\u{301}a", false), (["/mnt/e"], "/mnt/e\u{301}", false),
            ([], "/mnt/a", false), (["/x", "/mnt"], "/mnt/a", true), (["/a.b"], "/aXb/c", false), (["/[*]"], "/*", true),
        ])
    func rules(patterns: [String], path: String, allowed: Bool) {
        #expect(PathPolicy(patterns).allows(resolved: path) == allowed)
        #expect(PathPolicy(patterns).allows(Self.place(path)) == allowed)
    }

    @Test(
        "A path with . or .. is never allowed",
        arguments: ["/mnt/../etc/shadow", "/mnt/./a", "/mnt/..", "mnt/a", "", "../mnt"])
    func dots(path: String) {
        #expect(!PathPolicy(["/mnt", "/"]).allows(resolved: path))
    }

    @Test("A name with dots in it is not a way up", arguments: ["/mnt/..a", "/mnt/a..b", "/mnt/...", "/mnt/a/.hidden"])
    func dotNames(path: String) {
        #expect(PathPolicy(["/mnt"]).allows(resolved: path))
    }

    @Test("A link out of an allowed directory is judged by its target")
    func symlinkOut() {
        let policy = PathPolicy(["/mnt"])
        #expect(!policy.allows(Self.place("/etc/shadow", names: ["/mnt/link", "/etc/shadow"])))
        #expect(!policy.allows(Self.place("/dev/sda", kind: .block, names: ["/mnt/link", "/dev/sda"])))
    }

    @Test("LVM's name of a device counts, a name outside /dev does not")
    func deviceNames() {
        let policy = PathPolicy(["/dev/vg", "/mnt"])
        #expect(policy.allows(Self.place("/dev/dm-3", kind: .block, names: ["/dev/vg/lv", "/dev/dm-3"])))
        #expect(!policy.allows(Self.place("/dev/dm-3", kind: .block, names: ["/dev/other/lv", "/dev/dm-3"])))
        #expect(!policy.allows(Self.place("/dev/dm-3", kind: .file, names: ["/dev/vg/lv"])))
        #expect(!policy.allows(Self.place("/dev/dm-3", kind: .block, names: ["/mnt/lv"])))
        #expect(!policy.allows(Self.place("/dev/dm-3", kind: .block, names: ["/dev/vg/../sda"])))
    }
}
