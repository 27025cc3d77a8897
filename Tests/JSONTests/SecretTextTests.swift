import Foundation
import JSON
import SeededRandom
import Testing

@Suite struct SecretTextTests {
    private func redacted(_ text: String) -> String { JSONValue.string(text).redacted().stringValue ?? "" }

    @Test(arguments: [
        ("password=hunter2, disk=vdb", "password=***"), ("password = u'hun''ter2' x=1", "password = u'***"),
        ("failed: {'auth_password': 'hunter2', 'a': 1}", "failed: {'auth_password': '***', 'a': 1}"),
        ("args u'auth_password': u'hunter2', b'a': b''", "args u'auth_password': u'***', b'a': b''"),
        (#"said {\"auth_password\": \"hun\\\"ter2\", \"a\": 1"#, #"said {\"auth_password\": \"***\", \"a\": 1"#),
        (#"failed: {"key": "hunter2", "a": 1"#, #"failed: {"key": "***", "a": 1"#),
        (#"failed: {"password": ["hun]ter2"], "a": 1"#, #"failed: {"password": ***"#),
        ("auth-password: hunter2;\nx", "auth-password: ***"), ("password:\n  - hunter2\n", "password:\n  ***"),
        ("password: |\n  hunter2\n  more\nuser: me", "password: ***"), ("password='a'+'hunter2'", "password='***"),
        ("auth_password -> hunter2", "auth_password -> ***"), ("| auth_password | hunter2 |", "| auth_password | ***"),
        ("DB_PASS: hunter", "DB_PASS: ***"), ("pass: hunter", "pass: ***"), ("x:id=cinder:key=hunter2", "x:id=cinder:key=***"),
        ("rabbit://u:hunter2@h:5672,v:hunter2@i/x failed", "rabbit://u:***@i/x failed"),
        ("rabbit://u:hun/ter2@h/x failed", "rabbit://u:***@h/x failed"),
        ("http://h:80/?next=http://u:hunter2@h", "http://h:80/?next=http://u:***@h"),
        ("iscsi://user%hunter2@192.0.2.1:3260/iqn/0", "iscsi://user%***@192.0.2.1:3260/iqn/0"),
        ("--password hunter2 --user me", "--password ***"), ("--auth-token 'hun ter2' x", "--auth-token '***' x"),
        ("run '--password', 'hun ter2', 'x'", "run '--password', '***', 'x'"),
        ("-n node.session.auth.password -v hunter2 x", "-n node.session.auth.password -v***"),
        ("run ('node.session.auth.password', '-v', 'hunter2')", "run ('node.session.auth.password', '-v***"),
        ("--name=node.session.auth.password --value=hunter2", "--name=node.session.auth.password --value***"),
        ("'name': 'auth_password', 'value': 'hunter2'", "'name': 'auth_password', 'value***"),
        ("--object secret,id=sec0,data=hunter2 x", "--object secret,id***"),
        ("Authorization: Bearer hunter2\r\nHost: h", "Authorization: ***"),
        ("-H 'X-Auth-Token: hunter2' u", "-H 'X-Auth-Token: ***"),
        (#"GET /\r\nAuthorization: Basic hunter2"#, #"GET /\r\nAuthorization: ***"#),
        ("<a><password>hunter2</password></a>", "<a><password***"), ("<secret type='x' value='hunter2'/>", "<secret***"),
        ("<param name=\"password\">hunter2</param>", "<param name=\"password\"***"),
        ("<key>password</key><string>hunter2</string>", "<key>password***"),
        ("<secret><usage type='ceph'/><value>hunter2</value></secret>", "<secret***"),
        ("password 'hunter' rejected", "password '***' rejected"),
        ("password set to 'hunter2'", "password set to '***'"),
        ("the CHAP secret was 'hunter'", "the CHAP secret was '***'"), ("set_password(user, 'hunter2')", "set_password***"),
        ("with Bearer hunter2 x", "with Bearer *** x"), ("Basic aHVudGVyMg==", "Basic ***"),
        ("'bearer': 'hunter2'", "'bearer': '***'"),
        ("password%3Dhunter2&x=1", "password***"), (#"password\x3dhunter2"#, #"password\***"#),
        ("&quot;auth_password&quot;: &quot;hunter2&quot;", "&quot;auth_password***"),
        ("password\u{1}\u{7}hunter2", "password***"),
        ("key = AQBSdFhcHn+xKhAAzZ3m8a/0YQ1Zl6Vb3nYvKw==", "key = ***"),
        ("rbd --key AQBSdFhcHn+xKhAAzZ3m8a/hunter2QZl6Vb3nY== x", "rbd --key *** x"),
        ("key DHHC-1:00:hunter2hunter2==: x", "key *** x"),
        ("got gAAAAABhunter2hunter2hunter2hunter2hunter2 back", "got *** back"),
        ("gAAAAABhunter2hunter2hunter2hunter2hunter2", "***"),
        ("x-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----", "x-----BEGIN RSA PRIVATE KEY***"),
        ("private_key: -----BEGIN PRIVATE KEY-----\nhunter2\n", "private_key: ***"),
        ("-----BEGIN PRIVATE KEY-----END", "-----BEGIN PRIVATE KEY***"),
        ("-----BEGIN PRIVATE KEY--\n-----END", "-----BEGIN PRIVATE KEY***"),
    ])
    func masks(_ text: String, _ masked: String) {
        #expect(redacted(text) == masked)
        #expect(redacted(masked) == masked)
        #expect(redacted("\u{e9} " + text) == "\u{e9} " + masked)
    }

    @Test(arguments: [
        "secret-uuid=abc", "the password is wrong", "secret_uuid=abc for rbd://h/x", "http://h:80/a@b",
        "routing key: notifications.error",
        "Secret not found: no secret with matching uuid 'x'", "no password", "basic checks", "password", "password=",
        "-----BEGIN CERTIFICATE-----\nabc", "rbd://h1:6789,h2:6789/pool/img@snap", "http://[fd00::1]:8776/v3/p@q",
        "password authentication failed for user nova1", "cache key: volume-1", "second pass 12345 of 3", "AQ==",
        "Volume rebase failed: disk vdb: the copy failed: No space left on device",
        "Failed to get secret for volume 457eb676-33da-42ec-9a8c-9293d545c337: Secret not found",
        "Secret '457eb676-33da-42ec-9a8c-9293d545c337' not found", "could not get secret from libvirt: Secret not found",
        "/var/lib/nova/secrets/volume-1234 does not exist", "(using password: YES)", "No key available with this passphrase.",
        "'auth_token': None, password_set=false", "lacks: ['auth_password', 'target_iqn']",
        "Token expired at 2026-11-28T10:00:00Z",
        "auth_method: CHAP, auth_username: cinder, target_portal: 10.0.0.1:3260",
    ])
    func leavesTheRestAlone(_ text: String) { #expect(redacted(text) == text) }

    /// Names, values and separators in any order: no part of a value is left, in time linear in the string.
    @Test(arguments: 1...3) func noPartOfAValueIsLeft(seed: UInt64) {
        var choice = SplitMix64(seed: seed)
        let names = ["password", "auth_token", "'secret'", #"\"chap_key\""#, "--password", "Cookie"]
        let signs = ["=", ": ", "=>", " = ", ":\t"]
        let values = [
            "SEK", "SEK SEK", "'SEK'", #"\"SEK\""#, "[SEK, SEK]", "{'a': 'SEK'}", "SEK'SEK", "SEK,SEK;SEK&SEK", "(SEK)", "u'SEK'",
            "-----SEK",
        ]
        let ends = ["\nuser=me\n", ", user=me ", " & next=1 ", "}\n", "]\n", "; "]
        for _ in 0..<1000 {
            let text = (0..<Int.random(in: 1...4, using: &choice)).map { _ in
                names.randomElement(using: &choice)! + signs.randomElement(using: &choice)! + values.randomElement(
                    using: &choice)!
                    + ends.randomElement(using: &choice)!
            }.joined()
            #expect(!redacted(text).contains("SEK"), "\(text)")
        }
    }

    @Test(arguments: 1...3) func anyTextIsTaken(seed: UInt64) {
        var choice = SplitMix64(seed: seed)
        let parts = [
            "password", "token", "key", "secret", "<", ">", "=", ":", "'", "\"", "\\", "{", "}", "[", "]", "(", " ", "\n", "-",
            "--", "|",
            "%3D", "&quot;", "://", "@", "/", "value", "-v", "u", "\u{0}", "\u{e9}", "PRIVATE", " KEY", "***", "gAAAAA", "AQ==",
            "iscsi",
            "DHHC-1:", ",", "->", "\\n",
        ]
        for _ in 0..<5000 {
            let text = (0..<Int.random(in: 0...12, using: &choice)).map { _ in parts.randomElement(using: &choice)! }.joined()
            let masked = redacted(text)
            #expect(masked.utf8.count <= text.utf8.count + 3 * 12)
            #expect(redacted(masked) == masked, "\(text)")
        }
    }

    /// Four times the string may take little more than four times the work; quadratic work would take sixteen times. Work is
    /// this thread's processor time, regardless of how busy the machine is.
    @Test(arguments: [
        "password ", "password= ", "'", "[", "{", "<password", "://", "a://b:", "a://b:@", "-----BEGIN PRIVATE KEY", "-", "key=",
        "a:'",
        "password\\", "password=[", "password: |\n", "--password,", "password|", "password 'a' ", "'password':'",
        "&quot;password", "password is ", "password=null ", "AQ:", "gAAAAA:", "password a b ", "Bearer ",
    ])
    func anyTextIsReadInTimeLinearInIt(_ part: String) {
        let (short, long) = (text(part, 10_000), text(part, 40_000))
        let growth = work { redacted(long) } / work { redacted(short) }
        #expect(growth < 10, "\(growth) times the work for four times the text")
    }

    private func text(_ part: String, _ count: Int) -> String { "x " + String(repeating: part, count: count / part.utf8.count) }

    /// The least of three measurements, since disturbances only add.
    private func work(_ body: () -> String) -> Double {
        let measured = (0..<3).map { _ in
            let begin = processorTime()
            _ = body()
            return processorTime() - begin
        }
        return measured.min() ?? 0
    }

    private func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
