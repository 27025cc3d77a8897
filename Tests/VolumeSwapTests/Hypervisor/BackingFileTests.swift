import Testing

@testable import VolumeSwap

@Suite("BackingFile")
struct BackingFileTests {
    @Test(
        "Paths as QEMU completes them",
        arguments: [
            ("/volumes/base", "/images/top", "/volumes/base"), ("base", "/images/top", "/images/base"),
            ("../base", "/images/top", "/images/../base"), ("sub/base:1", "/images/top", "/images/sub/base:1"),
            ("./a:b", "/top", "/./a:b"), ("file:/volumes/base", "/images/top", "/volumes/base"),
            ("/\u{301}base", "/images/top", "/\u{301}base"),
        ])
    func path(name: String, image: String, path: String) {
        #expect(BackingFile(name: name).path(from: image) == path)
    }

    @Test("Names that are no paths", arguments: ["json:{\"driver\":\"x\"}", "nbd://host/export", "rbd:p/i", "a:b", "file:b"])
    func other(name: String) {
        #expect(BackingFile(name: name).path(from: "/images/top") == nil)
    }
}
