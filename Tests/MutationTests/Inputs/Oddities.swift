import JSON
import SeededRandom

/// Values, texts and bytes that decoders get wrong.
enum Oddities {
    static let numbers: [JSONValue] = [
        0, -1, 1, .integer(.max), .integer(.min), .integer(1 << 32), .integer(1 << 53), .real(0.5), .real(-0.0), .real(1e308),
        .real(.leastNonzeroMagnitude), .real(9.3e18), .real(-1e300), .real(16384),
    ]

    /// What may stand in place of a number's digits: beyond every range, or not JSON at all.
    static let literals = [
        "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1e400", "-1e400", "1e-400", "-0", "00", "0x10",
        "1.",
        ".5", "+1", "1e", "NaN", "Infinity", "-Infinity", String(repeating: "9", count: 400),
        "0." + String(repeating: "1", count: 400),
    ]

    /// What may stand in place of any value.
    static let tokens = [
        "null", "true", "false", "nul", "True", "None", "\"\"", "[]", "{}", "[[]]", "[null]", "{\"\":{}}", "", ",", ":", "}", "]",
        "\"",
        "undefined", "/*x*/1", "'x'", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\u0000\"", "\"\\x\"", "\"\\uFFFE\"",
    ]

    static let texts = [
        "", " ", "\0", "a\0b", "\u{1}\u{1f}", "\u{7f}", "\u{85}", "\u{2028}", "\u{feff}", "\u{fffe}", "\u{ffff}", "\u{fffd}",
        "\u{202e}x",
        "e\u{301}", "\u{e9}", "👩‍👩‍👧‍👦", "\u{10ffff}", "\n", "\r\n", "\"", "\\", "</source>", "<![CDATA[", "&amp;", "]]>", "'", "%s%n",
        "$(id)",
        "../../../etc/shadow", "/dev/../etc/shadow", "/", "//", "/dev/vdb", "vdb", "VDB", "/dev/", "dev/vdb",
        "amq.rabbitmq.reply-to",
        "***", "-", "--", "0", "1", "-1", "1e999", "nan", "1.0", "2.0", "1.999999999999", "2x", "0x", "1e300x", "auto", "rebase",
        "copy",
        "[::1]:3260", ":", ":0", "a:b:c", "[", "[]", "[]:1", ",", "x,1", "pool/image", "/image", "pool/", "iqn.x/1", "raw",
        "qcow2", "vmdk",
        "00000000-0000-0000-0000-000000000000", "3C9D8A4E-6D5D-4B35-9B0C-1F0C6F1A0099", "３c9d8a4e-6d5d-4b35-9b0c-1f0c6f1a009",
    ]

    /// Versions of an envelope: good, other, and one character that is longer than a line.
    static let versions = [
        "2.1", "2", "2.0.0", "3.0", "1.0", "", "2.x", "2.0\n", "9" + String(repeating: "\u{301}", count: 2000),
    ]

    /// Keys that the decoder knows, in places where they do not belong.
    static let keys = [
        "method", "args", "version", "namespace", "_msg_id", "_reply_q", "_timeout", "_unique_id", "_context_",
        "_context_\u{301}", "oslo.version",
        "oslo.message", "instance", "mountpoint", "options", "data", "serial", "device_path", "driver_volume_type",
        "request_token", "", "\0",
        "nova_object.data", "uuid", "name", "hosts", "ports", "target_lun", "encrypted", "multiattach", "result", "failure",
        "ending", "event_type",
    ]

    /// Bytes that are not UTF-8: alone, overlong, surrogates, beyond the last character, cut off.
    static let notUTF8: [[UInt8]] = [
        [0x80], [0xff], [0xfe], [0xc0, 0x80], [0xc1, 0xbf], [0xe0, 0x80, 0xaf], [0xed, 0xa0, 0x80], [0xed, 0xbf, 0xbf],
        [0xf4, 0x90, 0x80, 0x80],
        [0xf8, 0x88, 0x80, 0x80, 0x80], [0xe2, 0x82], [0xf0, 0x9f], [0xef, 0xbb, 0xbf], [0x00], [0x1f, 0x8b, 8],
    ]

    /// Bytes with a meaning in JSON.
    static let meaningful = Array("\"\\{}[]:,0e-.tn /\u{0}\n".utf8)

    /// How deep values are nested: around the limit.
    static let depths = [1, 3, 64, 190, 195, 199, 200, 201, 400]

    /// Beyond what a parser accepts, and beyond what a stack holds.
    static let greatDepths = [2048, 2049, 20_000, 150_000]
}
